"""Payload models of every kind: what they take, and how they say what is wrong without repeating it."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from treadle.errors import InvalidInput, Problem, RegistrationError
from treadle.schema import MAX_REPORTED_PROBLEMS, model_for, pointer

CANARY = "CANARY-hunter2"


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Part(msgspec.Struct, forbid_unknown_fields=True):
    weight: Annotated[int, msgspec.Meta(gt=0)]
    label: str = ""


class Order(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    order_number: Annotated[int, msgspec.Meta(ge=1, le=99)]
    size: Size
    parts: Annotated[list[Part], msgspec.Meta(max_length=3)]
    by_shelf: dict[int, str] = {}
    colour: Literal["red", "blue"] = "red"
    note: Annotated[str, msgspec.Meta(max_length=20, pattern="^[a-z ]*$")] = ""


@dataclasses.dataclass
class PlainOrder:
    order_number: int
    size: Size
    parts: list[Part] = dataclasses.field(default_factory=list)
    by_shelf: dict[int, str] = dataclasses.field(default_factory=dict)
    note: Annotated[str, msgspec.Meta(max_length=20)] = ""


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class PydanticOrder(pydantic.BaseModel, extra="forbid"):
    order_number: Annotated[int, pydantic.Field(ge=1, alias="orderNumber")]
    size: Size
    parts: list[PydanticOrder | int] = []
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")] | None = None


KINDS = [Order, PlainOrder, PydanticOrder, dict, dict[str, int]]


_model_for = functools.cache(model_for)  # pydantic takes its time


def problems_of(annotation: Any, payload: object) -> list[Problem]:
    with pytest.raises(InvalidInput) as refused:
        _model_for(annotation).decode(json.dumps(payload).encode())
    return list(refused.value.problems)


def found(annotation: Any, payload: object) -> set[tuple[str, str]]:
    return {(problem.pointer, problem.code) for problem in problems_of(annotation, payload)}


# ------------------------------------------------------------------------------ what is taken


def test_every_kind_of_model_gives_the_handler_its_own_type() -> None:
    payload = b'{"orderNumber":7,"size":"small","parts":[]}'
    plain = b'{"order_number":7,"size":"small","by_shelf":{"3":"x"}}'

    assert model_for(Order).decode(payload) == Order(7, Size.SMALL, [])
    assert model_for(PlainOrder).decode(plain) == PlainOrder(7, Size.SMALL, [], {3: "x"})
    assert model_for(PydanticOrder).decode(payload) == PydanticOrder.model_validate({"orderNumber": 7, "size": "small"})
    assert model_for(dict).decode(plain)["order_number"] == 7
    assert model_for(dict[str, int]).decode(b'{"a":1}') == {"a": 1}
    assert model_for(dict[str, Any]).decode(b'{"a":[1]}') == {"a": [1]}


@pytest.mark.parametrize("annotation", KINDS)
def test_every_kind_of_model_describes_itself_in_one_self_contained_document(
    annotation: Any,
) -> None:
    schema = model_for(annotation).json_schema()

    text = json.dumps(schema)
    assert json.loads(text) == schema
    references = {part.split('"')[0] for part in text.split('"$ref": "')[1:]}
    assert all(reference.startswith("#/$defs/") for reference in references)
    assert {reference.rpartition("/")[2] for reference in references} <= set(schema.get("$defs", {}))


@pytest.mark.parametrize("annotation", KINDS)
@pytest.mark.parametrize("payload", [[], "text", 5, None, True])
def test_a_payload_that_is_no_object_is_a_problem_of_the_whole(annotation: Any, payload: object) -> None:
    (problem,) = problems_of(annotation, payload)

    assert problem.pointer == ""


# ------------------------------------------------------------------------------ everything at once


def test_a_struct_names_every_problem_at_once() -> None:
    payload = {
        "orderNumber": 100,
        "size": "huge",
        "parts": [{"weight": 1}, {"weight": 0}],
        "byShelf": {"3": 4},
        "colour": "green",
        "note": "NO",
        "status": "completed",
        "result": 1,
    }

    assert found(Order, payload) == {
        ("/orderNumber", "range"),
        ("/size", "one_of"),
        ("/parts/1/weight", "range"),
        ("/byShelf/*", "type"),
        ("/colour", "one_of"),
        ("/note", "pattern"),
        ("/status", "unknown_field"),
        ("/result", "unknown_field"),
    }


def test_a_dataclass_names_every_problem_at_once() -> None:
    payload = {"order_number": "x", "parts": [{"weight": "y"}], "by_shelf": [], "note": "x" * 21}

    assert found(PlainOrder, payload) == {
        ("/order_number", "type"),
        ("/size", "required"),
        ("/parts/0/weight", "type"),
        ("/by_shelf", "type"),
        ("/note", "length"),
    }


def test_a_pydantic_model_names_every_problem_at_once() -> None:
    payload = {"orderNumber": 0, "parts": [], "extra": 1, "pet": {"kind": "cow"}}

    told = found(PydanticOrder, payload)

    assert {("/size", "required"), ("/extra", "unknown_field")} <= told
    assert {where for where, _ in told} == {"/orderNumber", "/size", "/extra", "/pet"}


@pytest.mark.parametrize("annotation", [Order, PlainOrder, PydanticOrder])
def test_an_empty_object_is_told_every_required_member(annotation: Any) -> None:
    told = found(annotation, {})

    assert {code for _, code in told} == {"required"}
    assert len(told) == (3 if annotation is Order else 2)


def test_a_right_member_beside_a_wrong_one_is_no_problem() -> None:
    # Keys of numbers come as text in JSON: right for a dict[int, str], however the check is done.
    assert found(Order, {"orderNumber": 1, "size": "small", "parts": 1, "byShelf": {"3": "a"}}) == {("/parts", "type")}


class Circle(msgspec.Struct, tag="circle", tag_field="shape", forbid_unknown_fields=True):
    radius: int


def test_the_tag_of_a_tagged_struct_is_a_known_member() -> None:
    assert model_for(Circle).decode(b'{"shape":"circle","radius":1}') == Circle(1)
    assert found(Circle, {"shape": "circle", "radius": "x"}) == {("/radius", "type")}
    assert found(Circle, {"shape": "square", "radius": 1}) == {("/shape", "one_of")}


class Checked(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


def test_a_check_of_the_whole_tells_its_own_words() -> None:
    (problem,) = problems_of(Checked, {"low": 2, "high": 1})

    assert problem == Problem("", "invalid", "low must not be above high")


def test_a_wrong_key_is_told_as_one() -> None:
    (problem,) = problems_of(dict[int, int], {CANARY: 1})

    assert (problem.pointer, problem.code) == ("", "type")
    assert problem.detail == "Expected int, got str, as a key"


def test_the_report_is_bounded() -> None:
    payload = {f"m{number}": number for number in range(1_000)}

    assert len(problems_of(Order, payload)) == MAX_REPORTED_PROBLEMS
    assert len(problems_of(PydanticOrder, payload)) == MAX_REPORTED_PROBLEMS


@pytest.mark.parametrize(
    ("annotation", "wrong", "code"),
    [
        (Annotated[int, msgspec.Meta(ge=1)], 0, "range"),
        (Annotated[int, msgspec.Meta(lt=1)], 1, "range"),
        (Annotated[float, msgspec.Meta(gt=0)], 0.0, "range"),
        (Annotated[float, msgspec.Meta(le=0)], 0.5, "range"),
        (Annotated[int, msgspec.Meta(multiple_of=2)], 3, "range"),
        (Annotated[str, msgspec.Meta(min_length=2)], "a", "length"),
        (Annotated[list[int], msgspec.Meta(max_length=1)], [1, 2], "length"),
        (Annotated[dict[str, int], msgspec.Meta(min_length=1)], {}, "length"),
        (tuple[int, int], [1], "length"),
        (Annotated[str, msgspec.Meta(pattern="^a$")], "b", "pattern"),
        (int, "1", "type"),
        (int, True, "type"),
        (int, 1.5, "type"),
        (str, None, "type"),
        (Size, "tiny", "one_of"),
        (Literal["a"], "b", "one_of"),
        (datetime, "yesterday", "invalid"),
        (uuid.UUID, "x", "invalid"),
    ],
)
def test_every_rule_has_a_code_of_its_own(annotation: Any, wrong: object, code: str) -> None:
    model = msgspec.defstruct("Model", [("member", annotation)])

    (problem,) = problems_of(model, {"member": wrong})

    assert (problem.pointer, problem.code) == ("/member", code)
    assert "`" not in problem.detail


# ------------------------------------------------------------------------------ nothing is repeated


class Everything(msgspec.Struct, forbid_unknown_fields=True):
    whole: int
    text: Annotated[str, msgspec.Meta(max_length=3)]
    like: Annotated[str, msgspec.Meta(pattern="^a$")]
    size: Size
    word: Literal["a", "b"]
    shape: Circle
    at: datetime
    id: uuid.UUID
    cost: Decimal
    raw: bytes
    sizes: list[Size]
    by_size: dict[Size, int]
    by_name: dict[str, Size]
    deep: list[dict[str, list[Size]]]
    part: Part


class PydanticEverything(pydantic.BaseModel, extra="forbid"):
    whole: int
    real: float
    flag: bool
    text: Annotated[str, pydantic.Field(max_length=3)]
    like: Annotated[str, pydantic.Field(pattern="^a$")]
    size: Size
    word: Literal["a", "b"]
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
    at: datetime
    id: uuid.UUID
    cost: Decimal
    link: pydantic.HttpUrl
    zone: ZoneInfo
    memory: pydantic.ByteSize
    code: pydantic.ImportString[Any]
    encoded: pydantic.Base64Bytes
    secret: pydantic.SecretStr
    either: int | list[int]
    parsed: pydantic.Json[int]
    sizes: list[Size]
    by_name: dict[str, Size]


class MorePydantic(pydantic.BaseModel):
    encoded: pydantic.Base64Bytes
    memory: pydantic.ByteSize


@pytest.mark.parametrize("value", [CANARY, CANARY + " - at `$.part`", f"5{CANARY}", f"'{CANARY}'"])
@pytest.mark.parametrize("model", [Everything, PydanticEverything, MorePydantic])
def test_a_wrong_value_is_repeated_nowhere_whatever_it_stands_for(model: Any, value: str) -> None:
    members: dict[str, object] = dict.fromkeys(model.__annotations__, value)
    shapes: list[dict[str, object]] = [
        members,
        {name: [value] for name in members},
        {name: {"kind": value, "shape": value, "weight": value} for name in members},
        {name: [{"x": [value]}] for name in members},
        {name: {"small": value} for name in members},
        {"pet": {"kind": value}, "shape": {"shape": value, "radius": 1}},
    ]
    alone: list[dict[str, object]] = [{name: value} for name in members]

    for payload in [*shapes, *alone]:
        for problem in problems_of(model, payload):
            assert CANARY not in problem.detail, problem
            assert CANARY not in problem.pointer, problem


@pytest.mark.parametrize("name", [CANARY, CANARY + " - at `$.part` - at `$.x"])
@pytest.mark.parametrize(
    "payload",
    [
        {"part": {"weight": 1, "%s": 1}},
        {"by_size": {"%s": 1}},
        {"shape": {"shape": "circle", "radius": 1, "%s": 1}},
    ],
)
def test_a_name_that_is_not_known_inside_a_member_is_not_repeated(name: str, payload: dict[str, Any]) -> None:
    body = json.loads(json.dumps(payload).replace("%s", name))

    for problem in problems_of(Everything, body):
        assert CANARY not in problem.detail


def test_a_name_that_looks_like_a_path_does_not_move_the_pointer() -> None:
    name = "x - at `$.size` y"

    assert found(Order, {"orderNumber": 1, "size": "small", "parts": [{"weight": 1}, {"weight": 1, name: 1}]}) == {
        ("/parts/1", "unknown_field")
    }


def test_the_error_itself_repeats_no_value_either() -> None:
    with pytest.raises(InvalidInput) as refused:
        model_for(Everything).decode(json.dumps({"size": CANARY, "whole": CANARY}).encode())

    assert CANARY not in str(refused.value)
    assert CANARY not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


# ------------------------------------------------------------------------------ pointers


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), ""),
        (("a", 0, "b"), "/a/0/b"),
        (("a/b", "c~d", "~1"), "/a~1b/c~0d/~01"),
        (("",), "/"),
        (("x" * 1_000,), "/" + "x" * 64),
    ],
)
def test_a_pointer_is_written_as_rfc_6901_says(parts: tuple[object, ...], expected: str) -> None:
    assert pointer(*parts) == expected


def test_a_strange_member_name_is_escaped_in_the_pointer() -> None:
    assert ("/a~1b~0", "unknown_field") in found(Order, {"a/b~": 1})


# ------------------------------------------------------------------------------ what cannot be a model


class Unfinished(msgspec.Struct):
    part: Missing  # type: ignore[name-defined]  # noqa: F821


@dataclasses.dataclass
class UnfinishedPlain:
    part: Missing  # type: ignore[name-defined]  # noqa: F821


class UnfinishedPydantic(pydantic.BaseModel):
    part: Missing  # type: ignore[name-defined]  # noqa: F821


class Opaque:
    pass


class HoldsOpaque(msgspec.Struct):
    part: Opaque


class Unsayable(msgspec.Struct):
    part: Annotated[int, msgspec.Meta(description="\ud800")]


class Ambiguous(msgspec.Struct):
    part: list[int] | set[int]


@pytest.mark.parametrize(
    "annotation",
    [int, str, list, list[int], Any, None, "Order", Opaque, Order | None, object(), pydantic],
)
def test_what_is_no_model_is_refused_with_what_would_be_one(annotation: Any) -> None:
    with pytest.raises(RegistrationError, match=r"msgspec\.Struct, a dataclass, a pydantic model or a dict, not"):
        model_for(annotation)


@pytest.mark.parametrize(
    ("annotation", "helpful"),
    [
        (Unfinished, "Missing"),
        (UnfinishedPlain, "Missing"),
        (UnfinishedPydantic, "Missing"),
        (HoldsOpaque, "Opaque"),
        (Ambiguous, "more than one array-like"),
        (Unsayable, "surrogates not allowed"),
    ],
)
def test_a_model_that_could_never_be_decoded_or_described_is_refused_when_it_is_registered(
    annotation: Any, helpful: str
) -> None:
    with pytest.raises(RegistrationError, match=helpful) as refused:
        model_for(annotation)

    assert annotation.__name__ in str(refused.value)
    assert "at module level" in str(refused.value)
