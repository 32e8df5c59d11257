"""A published schema answers as the model does that it came from: same members, same codes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

from treadle.errors import InvalidInput
from treadle.jsonschema import compile_schema
from treadle.schema import model_for


class Line(msgspec.Struct, forbid_unknown_fields=True):
    sku: Annotated[str, msgspec.Meta(min_length=2, max_length=5, pattern="^[a-z]+$")]
    count: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Order(msgspec.Struct, forbid_unknown_fields=True):
    customer: str
    lines: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=2)]
    speed: Literal["slow", "fast"] = "slow"
    weight: float = 0.0
    gift: bool = False
    note: str | None = None


@dataclass
class Plain:
    a: int
    b: dict[str, int]


class Pydantic(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)
    a: int
    b: list[str] = []


GOOD: dict[str, Any] = {"customer": "Ada", "lines": [{"sku": "abc"}]}

PAYLOADS: list[tuple[Any, Any]] = [
    (Order, GOOD),
    (Order, {**GOOD, "lines": [{"sku": "abc", "count": 9}, {"sku": "zz"}], "speed": "fast", "weight": 1, "note": None}),
    (Order, {}),
    (Order, {**GOOD, "x": 1}),
    (Order, {**GOOD, "x": 1, "y": 2, "customer": 5}),
    (Order, {**GOOD, "customer": None}),
    (Order, {**GOOD, "lines": []}),
    (Order, {**GOOD, "lines": [{"sku": "abc"}] * 3}),
    (Order, {**GOOD, "lines": {}}),
    (Order, {**GOOD, "lines": [{"sku": "a"}]}),
    (Order, {**GOOD, "lines": [{"sku": "abcdef"}]}),
    (Order, {**GOOD, "lines": [{"sku": "ABC"}]}),
    (Order, {**GOOD, "lines": [{"sku": "abc", "count": 0}]}),
    (Order, {**GOOD, "lines": [{"sku": "abc", "count": 10}]}),
    (Order, {**GOOD, "lines": [{"sku": "abc", "count": "1"}]}),
    (Order, {**GOOD, "lines": [{}]}),
    (Order, {**GOOD, "speed": "medium"}),
    (Order, {**GOOD, "gift": "yes"}),
    (Order, {**GOOD, "weight": "1"}),
    (Plain, {"a": 1, "b": {"x": 1}}),
    (Plain, {"a": 1}),
    (Plain, {"a": "1", "b": []}),
    (Pydantic, {"a": 1, "b": ["x"]}),
    (Pydantic, {"b": [1], "c": 2}),
    (dict, {"anything": [1, {"goes": None}]}),
]


def told_by_model(annotation: Any, payload: bytes) -> set[tuple[str, str]]:
    try:
        model_for(annotation).decode(payload)
    except InvalidInput as error:
        return {(problem.pointer, problem.code) for problem in error.problems}
    return set()


@pytest.mark.parametrize(("annotation", "payload"), PAYLOADS)
def test_the_schema_says_what_the_model_says(annotation: Any, payload: Any) -> None:
    body = msgspec.json.encode(payload)
    check = compile_schema(msgspec.json.encode(model_for(annotation).json_schema()))

    assert {_whole(p.pointer, p.code) for p in check(body)} == {
        _whole(*told) for told in told_by_model(annotation, body)
    }


def _whole(pointer: str, code: str) -> tuple[str, str]:
    """pydantic has codes of its own for what msgspec and JSON Schema call a wrong type."""
    return pointer, "type" if code.endswith("_type") else code


def test_all_problems_are_told_at_once_and_none_repeats_the_payload() -> None:
    check = compile_schema(msgspec.json.encode(model_for(Order).json_schema()))
    secret = "CANARY-4711"

    problems = check(msgspec.json.encode({"customer": 1, "speed": secret, "lines": [{"sku": secret}], "gift": secret}))

    assert {p.pointer for p in problems} == {"/customer", "/speed", "/lines/0/sku", "/gift"}
    assert secret not in repr(problems)


def test_problems_are_told_up_to_a_number() -> None:
    check = compile_schema(b'{"additionalProperties":{"type":"string"}}')

    assert len(check(msgspec.json.encode({str(n): n for n in range(1000)}))) == 20


@pytest.mark.parametrize(
    "schema",
    [
        b'{"$ref":"http://127.0.0.1:9/schema.json"}',
        b'{"$ref":"file:///etc/passwd"}',
        b'{"type":"no such type"}',
        b'{"pattern":"("}',
        b"[]",
        b"{",
    ],
)
def test_a_schema_that_cannot_be_checked_here_is_refused_and_nothing_is_fetched(schema: bytes) -> None:
    with pytest.raises(ValueError, match="not a JSON Schema"):
        compile_schema(schema)


def test_a_pattern_that_backtracks_elsewhere_takes_no_time_here() -> None:
    check = compile_schema(b'{"properties":{"a":{"pattern":"^(a+)+$"}}}')
    began = time.process_time()

    [problem] = check(b'{"a":"' + b"a" * 100_000 + b'!"}')

    assert problem.code == "pattern"
    # With backtracking: longer than the universe has been there. No speed is measured here.
    assert time.process_time() - began < 60
