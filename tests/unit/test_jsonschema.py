"""Payloads checked by the published schema alone: the same verdicts and words as the typed models', in bounded time."""

from __future__ import annotations

import json
import socket
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

from tests.unit.test_schema import CANARY, KINDS, Circle, Everything, Order, Part, PlainOrder, PydanticOrder, Size
from treadle.errors import InvalidInput, Problem
from treadle.jsonschema import JsonSchemaModel
from treadle.schema import MAX_REPORTED_PROBLEMS, PayloadModel, model_for


class Square(msgspec.Struct, tag="square", tag_field="shape", forbid_unknown_fields=True):
    side: int


def by_schema(annotation: Any) -> JsonSchemaModel:
    return JsonSchemaModel(msgspec.json.encode(model_for(annotation).json_schema()).decode())


def problems_of(model: PayloadModel, payload: object) -> list[Problem]:
    try:
        model.decode(json.dumps(payload).encode())
    except InvalidInput as error:
        return sorted(error.problems, key=lambda problem: (problem.pointer, problem.code))
    return []


def told(schema: object, payload: object) -> list[tuple[str, str]]:
    return [(p.pointer, p.code) for p in problems_of(JsonSchemaModel(json.dumps(schema)), payload)]


# ----------------------------------------------------------------- beside the typed models

ORDER = {"orderNumber": 1, "size": "small", "parts": []}
NO_OBJECTS: list[object] = [[], "text", 5, None, True]
BAD_ORDERS: list[tuple[Any, object]] = [
    (Order, {}),
    (
        Order,
        {
            "orderNumber": 100,
            "size": "huge",
            "parts": [{"weight": 1}, {"weight": 0}],
            "byShelf": {"3": 4},
            "colour": "green",
            "note": "NO",
            "status": "completed",
            "result": 1,
        },
    ),
    (Order, {**ORDER, "parts": [{}]}),
    (Order, {**ORDER, "parts": [{"weight": 1, "colour": 1}]}),
    (Order, {**ORDER, "parts": [{"weight": 1}] * 4}),
    (Order, {**ORDER, "a/b~": 1, "note": "x" * 21}),
    (PlainOrder, {}),
    (PlainOrder, {"order_number": "x", "parts": [{"weight": "y"}], "by_shelf": [], "note": "x" * 21}),
    (Everything, {}),
    (Everything, {"whole": 1.5, "text": "long", "like": "b", "size": 3, "deep": [{"a": ["small", "x"]}]}),
    (dict[str, int], {"a": 1, "b": "x"}),
    *((kind, payload) for kind in KINDS if kind is not PydanticOrder for payload in NO_OBJECTS),
]


@pytest.mark.parametrize(("annotation", "payload"), BAD_ORDERS)
def test_a_bad_payload_is_told_in_the_typed_models_own_words(annotation: Any, payload: object) -> None:
    expected = problems_of(model_for(annotation), payload)

    assert expected
    assert problems_of(by_schema(annotation), payload) == expected


MEMBERS: list[tuple[Any, object]] = [
    (Annotated[int, msgspec.Meta(ge=1)], 0),
    (Annotated[int, msgspec.Meta(gt=1)], 1),
    (Annotated[int, msgspec.Meta(lt=1)], 1),
    (Annotated[int, msgspec.Meta(le=1)], 2),
    (Annotated[int, msgspec.Meta(multiple_of=2)], 3),
    (Annotated[float, msgspec.Meta(gt=0)], 0),
    (Annotated[float, msgspec.Meta(le=0)], 0.5),
    (Annotated[str, msgspec.Meta(min_length=2)], "a"),
    (Annotated[str, msgspec.Meta(pattern="^a$")], "b"),
    (Annotated[list[int], msgspec.Meta(min_length=1)], []),
    (Annotated[dict[str, int], msgspec.Meta(min_length=1)], {}),
    (tuple[int, int], [1]),
    (tuple[int, int], [1, 2, 3]),
    (tuple[int, str], [1, 2]),
    (int, "1"),
    (int, True),
    (float, "x"),
    (bool, 1),
    (str, None),
    (None, 5),
    (list[int], {}),
    (dict[str, int], []),
    (int | None, "x"),
    (Annotated[int, msgspec.Meta(ge=1)] | None, 0),
    (int | str | None, []),
    (list[int] | str | None, ["x"]),
    (Size, "tiny"),
    (Size, 5),
    (Literal["a"], "b"),
    (Literal["a", 1], 5),
    (list[Part], [{"weight": 1}, {"label": ""}]),
    (dict[str, Part], {"q": {"weight": "x"}}),
    (Circle, 5),
    (Circle, {"shape": "square", "radius": 1}),
    (Circle | None, {"shape": "circle", "radius": "x"}),
    (Circle | Square, {}),
    (Circle | Square, 5),
    (Circle | Square, {"shape": "x"}),
    (Circle | Square, {"shape": "square"}),
    (Circle | Square, {"shape": "square", "side": "x"}),
    (Circle | Square, {"shape": "square", "side": 1, "radius": 1}),
]


@pytest.mark.parametrize(("annotation", "wrong"), MEMBERS)
def test_every_rule_is_told_in_the_typed_models_own_words(annotation: Any, wrong: object) -> None:
    model = msgspec.defstruct("Model", [("member", annotation)])

    [expected] = problems_of(model_for(model), {"member": wrong})

    assert problems_of(by_schema(model), {"member": wrong}) == [expected]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (set[int], [1, 1]),
        (frozenset[str], ["a", "a"]),
        (dict[int, str], {"3": "x"}),
        (float, 1),
        (datetime, "2030-01-31T09:00:00"),
        (bytes, "YQ=="),
        (Any, {"a": [None]}),
    ],
)
def test_what_a_model_takes_is_not_refused_by_its_schema(annotation: Any, value: object) -> None:
    model = msgspec.defstruct("Model", [("member", annotation)])

    assert problems_of(model_for(model), {"member": value}) == []
    assert problems_of(by_schema(model), {"member": value}) == []


def test_a_pydantic_models_problems_stand_in_the_same_places() -> None:
    payload = {"orderNumber": 0, "parts": [], "extra": 1, "pet": {"kind": "cow"}}

    found = {(p.pointer, p.code) for p in problems_of(by_schema(PydanticOrder), payload)}

    assert found == {
        ("/orderNumber", "range"),
        ("/size", "required"),
        ("/extra", "unknown_field"),
        ("/pet/kind", "one_of"),
    }
    assert problems_of(by_schema(PydanticOrder), {"orderNumber": 1, "size": "small", "pet": {"kind": "dog"}}) == []


class Sets(pydantic.BaseModel):
    tags: set[int]
    at: datetime


def test_a_pydantic_set_and_time_are_not_checked_more_strictly_than_by_the_model() -> None:
    payload = {"tags": [1, 1], "at": "2030-01-31"}

    assert problems_of(model_for(Sets), payload) == []
    assert problems_of(by_schema(Sets), payload) == []


def test_the_report_is_bounded() -> None:
    assert len(problems_of(by_schema(Order), {f"m{n}": n for n in range(1_000)})) == MAX_REPORTED_PROBLEMS


@pytest.mark.parametrize("name", [CANARY, CANARY + "/x"])
def test_no_value_and_no_unknown_name_inside_a_member_is_repeated(name: str) -> None:
    shapes: list[dict[str, object]] = [
        dict.fromkeys(Everything.__annotations__, name),
        {member: [name] for member in Everything.__annotations__},
        {member: {name: name} for member in Everything.__annotations__},
        {member: [{"x": [name]}] for member in Everything.__annotations__},
        {"shape": {"shape": "circle", "radius": 1, name: 1}, "by_name": {name: 1}},
    ]

    for payload in shapes:
        for problem in problems_of(by_schema(Everything), payload):
            assert CANARY not in problem.detail + problem.pointer


# ------------------------------------------------------------------------------ bounded time


def test_a_million_wrong_items_are_one_problem() -> None:
    # The library's own list of errors takes a minute and 1.5 GB for these; the run's time limit is two.
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}

    for _ in range(5):
        assert told(schema, {"a": ["x"] * 1_000_000}) == [("/a/0", "type")]


def test_a_union_that_contains_itself_is_searched_once() -> None:
    def node(kind: str) -> object:
        return {
            "type": "object",
            "properties": {"child": {"$ref": "#/$defs/Node"}, "kind": {"const": kind}},
            "required": ["kind"],
        }

    union = {"anyOf": [node("a"), node("b")]}
    schema = {"type": "object", "properties": {"root": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": union}}
    payload: dict[str, Any] = {"kind": "wrong"}
    for _ in range(28):
        payload = {"kind": "b", "child": payload}

    assert told(schema, {"root": payload}) == [("/root" + "/child" * 28 + "/kind", "one_of")]


def test_a_pattern_is_matched_in_linear_time() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}

    assert told(schema, {"a": "a" * 100_000 + "b"}) == [("/a", "pattern")]


def test_a_pattern_that_needs_backtracking_is_left_to_the_worker_and_the_rest_is_checked() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "^(?=x)x"}, "pattern": {"type": "integer"}},
    }

    assert told(schema, {"a": "y", "pattern": 1}) == []
    assert told(schema, {"a": 1, "pattern": "y"}) == [("/a", "type"), ("/pattern", "type")]


def test_a_schema_that_refers_to_itself_without_end_ends() -> None:
    schema = {
        "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}, {"type": "integer"}]}},
        "properties": {"a": {"$ref": "#/$defs/A"}},
    }

    assert told(schema, {"a": "x"}) in ([("", "invalid")], [("/a", "invalid")], [("/a", "type")])


# ----------------------------------------------------------------------------- odd schemas


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "https://example.com/schema.json"},
        {"properties": {"a": {"$ref": "file:///etc/hostname"}}},
        {"$ref": "#/$defs/Missing"},
        {"type": "nonsense"},
        {"properties": []},
        {"$schema": "http://example.com/unknown", "type": "object"},
        [],
        "object",
        5,
    ],
)
def test_a_schema_that_cannot_be_used_says_so_and_fetches_nothing(schema: object) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        JsonSchemaModel(json.dumps(schema))


def test_a_schema_of_another_place_is_refused_even_where_it_could_be_had(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        places = [f"http://127.0.0.1:{listener.getsockname()[1]}/schema.json", (tmp_path / "schema.json").as_uri()]

        for place in places:
            with pytest.raises(ValueError, match="disabled"):
                JsonSchemaModel(json.dumps({"$ref": place}))

        with pytest.raises(BlockingIOError):  # nobody came
            listener.accept()


@pytest.mark.parametrize(
    ("schema", "payload", "expected"),
    [
        ({}, {"a": 1}, []),
        ({"type": "object"}, {"a": 1}, []),
        ({"not": {"required": ["a"]}}, {"a": 1}, [("", "invalid")]),
        ({"minProperties": 1}, {}, [("", "length")]),
        ({"properties": {"a": False}}, {"a": 1}, [("/a", "unknown_field")]),
        ({"properties": {"a": {"not": {}}}}, {"a": 1}, [("/a", "invalid")]),
        ({"properties": {}, "patternProperties": {"^x": {"type": "integer"}}}, {"x1": "a"}, [("", "invalid")]),
        ({"properties": {"a": {"allOf": [{}, {"type": "integer"}]}}}, {"a": "x"}, [("/a", "type")]),
        ({"properties": {"a": {"contains": {"const": 1}}}}, {"a": [2]}, [("/a", "invalid")]),
        ({"properties": {"a/b~c": {"type": "integer"}}}, {"a/b~c": "x"}, [("/a~1b~0c", "type")]),
        ({"properties": {"a%20 b#ü": {"type": "integer"}}}, {"a%20 b#ü": "x"}, [("/a%20 b#ü", "type")]),
        ({"properties": {"a": {"default": {"type": 5}, "enum": [{"pattern": "["}]}}}, {"a": 1}, [("/a", "type")]),
        (
            {"properties": {"a": {"items": {"type": "integer"}, "prefixItems": [{}]}}},
            {"a": ["x", "y"]},
            [("/a/1", "type")],
        ),
        ({"properties": {"a": {"anyOf": [{"minimum": 2}, {"maximum": 0}]}}}, {"a": 1}, [("/a", "invalid")]),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, [("", "invalid")]),
    ],
)
def test_every_schema_is_checked_whoever_wrote_it(
    schema: object, payload: object, expected: list[tuple[str, str]]
) -> None:
    assert told(schema, payload) == expected


def test_the_schema_is_told_as_it_was_published() -> None:
    schema = {"type": "object", "title": "T", "properties": {"a": {"default": 1, "format": "date"}}}

    assert JsonSchemaModel(json.dumps(schema)).json_schema() == schema
