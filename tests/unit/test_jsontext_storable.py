"""``to_storable`` is total: whatever it is given, it returns JSON that every store takes, or ``Unstorable``."""

from __future__ import annotations

import dataclasses
import decimal
import enum
import json
import uuid
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from unittest.mock import MagicMock

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.errors import Unstorable
from treadle.jsontext import MAX_DEPTH, check_strict, to_storable

ROOM = 1_000_000


def refusal(value: object) -> str:
    with pytest.raises(Unstorable) as refused:
        to_storable(value, max_bytes=ROOM)
    return str(refused.value)


class Point(msgspec.Struct):
    x: int
    y: float


class Renamed(msgspec.Struct, rename="camel", tag="renamed"):
    first_name: str


@dataclasses.dataclass
class Box:
    name: str
    inner: Any = None


class Model(pydantic.BaseModel):
    at: datetime
    part: Any = None


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 3


class Word(str):
    __slots__ = ()


class Count(int):
    pass


class Measure(float):
    pass


Pair = namedtuple("Pair", ["a", "b"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0, "0"),
        (-5, "-5"),
        (1.5, "1.5"),
        (2**53 - 1, "9007199254740991"),
        ("", '""'),
        ("ü 😀 \u2028", '"ü 😀 \u2028"'),
        ([], "[]"),
        ({}, "{}"),
        ({"b": [1, {"a": None}], "a": "x"}, '{"b":[1,{"a":null}],"a":"x"}'),
        ((1, 2), "[1,2]"),
        ({7}, "[7]"),
        (frozenset({"a"}), '["a"]'),
        ({1: "a"}, '{"1":"a"}'),
        (OrderedDict(z=1, a=2), '{"z":1,"a":2}'),
        (Pair(1, "b"), '[1,"b"]'),
        (Colour.RED, '"red"'),
        (Level.LOW, "3"),
        ({Colour.RED: Colour.RED}, '{"red":"red"}'),
        (datetime(2026, 5, 4, 12, tzinfo=UTC), '"2026-05-04T12:00:00Z"'),
        (date(2026, 5, 4), '"2026-05-04"'),
        (timedelta(seconds=90), '"PT90S"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Point(1, 2.5), '{"x":1,"y":2.5}'),
        (Renamed("A"), '{"type":"renamed","firstName":"A"}'),
        (Box("b", Point(1, 2)), '{"name":"b","inner":{"x":1,"y":2}}'),
        (
            Model(at=datetime(2026, 5, 4, tzinfo=UTC), part=[1]),
            '{"at":"2026-05-04T00:00:00Z","part":[1]}',
        ),
        ([{"m": Box("b", Model(at=datetime(2026, 5, 4, tzinfo=UTC)))}], None),
        # What numeric and template libraries hand out: numpy.float64 is a float, markupsafe.Markup a str.
        (Word("x"), '"x"'),
        (Count(5), "5"),
        (Measure(0.5), "0.5"),
        ({Word("k"): [Measure(2)]}, None),
    ],
)
def test_what_has_a_json_form_is_stored_in_it(value: object, text: str | None) -> None:
    stored = to_storable(value, max_bytes=ROOM)

    check_strict(stored)
    if text is not None:
        assert json.loads(stored) == json.loads(text)
        assert b" " not in stored.replace("ü 😀 \u2028".encode(), b"")


class _Hostile:
    """Every look at it raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("CANARY")

    def __repr__(self) -> str:
        raise RuntimeError("CANARY")

    def __str__(self) -> str:
        raise RuntimeError("CANARY")


class _Quitting:
    def __getattr__(self, name: str) -> Any:
        raise SystemExit(3)


class _Dumps:
    def __init__(self, dumped: Any) -> None:
        self._dumped = dumped

    def model_dump(self, *, mode: str) -> Any:
        assert mode == "json"
        if isinstance(self._dumped, Exception):
            raise self._dumped
        return self._dumped


class _DumpsItself:
    def model_dump(self, *, mode: str) -> Any:
        return self


def _cyclic_list() -> object:
    value: list[object] = []
    value.append(value)
    return value


def _cyclic_dict() -> object:
    value: dict[str, object] = {}
    value["a"] = [value]
    return value


def _cyclic_box() -> object:
    value = Box("b")
    value.inner = {"again": value}
    return value


def _nested(depth: int, opened: str = "list") -> object:
    value: object = 1
    for _ in range(depth):
        value = [value] if opened == "list" else {"a": value}
    return value


REFUSED: dict[str, object] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity deep inside": [{"a": [-float("inf")]}],
    "NaN of a subclass": Measure("nan"),
    "a large integer": 2**53,
    "a small integer": -(2**53),
    "a huge integer": 10**400,
    "an integer of many digits": 10**5_000,
    "a large integer of a subclass": Count(2**70),
    "bytes": b"abc",
    "a bytearray": bytearray(b"abc"),
    "a memoryview": memoryview(b"abc"),
    "bytes deep inside": {"a": [b"abc"]},
    "NUL": "a\0b",
    "NUL in a name": {"a\0b": 1},
    "NUL in a subclass": Word("\0"),
    "a high surrogate": "\ud800",
    "a low surrogate": "a\udfff",
    "both halves": "\ud83d\ude00",
    "a surrogate in a name": {"\ud800": 1},
    "a tuple as a name": {(1, 2): 3},
    "None as a name": {None: 3},
    "bytes as a name": {b"a": 3},
    "an object": object(),
    "a class": Point,
    "a pydantic class": Model,
    "a function": refusal,
    "a module": json,
    "a generator": (one for one in [1]),
    "an iterator": iter([1]),
    "a range": range(3),
    "a complex number": 1j,
    "a path": PurePosixPath("x"),
    "an exception": ValueError("CANARY"),
    "Ellipsis": ...,
    "an unset member": msgspec.UNSET,
    "raw bytes that are no JSON": msgspec.Raw(b"{nope"),
    "an object whose attributes raise": _Hostile(),
    "the same, deep inside": {"a": [Box("b", _Hostile())]},
    "an object that wants to end the process": _Quitting(),
    "a model whose dump raises": _Dumps(ValueError("CANARY")),
    "a model that dumps NaN": _Dumps({"a": float("nan")}),
    "a model that dumps bytes": _Dumps(b"a"),
    "a model that dumps itself": _DumpsItself(),
    "a mock": MagicMock(),
    "a list inside itself": _cyclic_list(),
    "a dict inside itself": _cyclic_dict(),
    "a dataclass inside itself": _cyclic_box(),
    "33 lists": _nested(33),
    "33 dicts": _nested(33, "dict"),
    "10,000 lists": _nested(10_000),
    "10,000 dicts": _nested(10_000, "dict"),
    "dataclasses beyond the limit": [Box("b", _nested(31))],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_store_could_return_equal_is_refused_with_a_reason(name: str) -> None:
    reason = refusal(REFUSED[name])

    assert reason
    assert "CANARY" not in reason


@pytest.mark.parametrize(
    ("value", "helpful"),
    [
        (b"abc", "bytes"),
        (object(), "object"),
        ({"a": PurePosixPath("x")}, "PurePosixPath"),
        (float("nan"), "NaN"),
        (2**53, "2^53"),
        ("\0", "U+0000"),
        ("\ud800", "surrogate"),
        (_nested(40), "deeper than 32"),
        (_cyclic_list(), "cyclic"),
    ],
)
def test_a_refusal_tells_what_to_look_for(value: object, helpful: str) -> None:
    assert helpful in refusal(value)


def test_nesting_up_to_the_limit_is_stored() -> None:
    check_strict(to_storable(_nested(MAX_DEPTH), max_bytes=ROOM))
    check_strict(to_storable(_nested(MAX_DEPTH, "dict"), max_bytes=ROOM))


def test_the_limit_of_size_counts_bytes_of_json_and_is_inclusive() -> None:
    assert to_storable("ü" * 4, max_bytes=10) == '"üüüü"'.encode()
    with pytest.raises(Unstorable, match="10 bytes of JSON, more than the 9 allowed"):
        to_storable("ü" * 4, max_bytes=9)


def test_a_huge_value_is_refused_by_size_and_not_by_accident() -> None:
    with pytest.raises(Unstorable, match="more than the 100 allowed"):
        to_storable(["x" * 1_000] * 1_000, max_bytes=100)


def test_the_value_itself_is_left_as_it_was() -> None:
    value = {"a": [1, {"b": (2, 3)}]}

    to_storable(value, max_bytes=ROOM)

    assert value == {"a": [1, {"b": (2, 3)}]}


_TEXT = 'a"\\/\n\x1f\x7fü漢😀\u2028\0\ud800\udfff'
_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**53 - 1, 2**53, -(2**53) + 1, 10**30])
    | st.floats()
    | st.text(_TEXT, max_size=4)
    | st.binary(max_size=2)
    | st.datetimes()
    | st.uuids()
    | st.sampled_from([Colour.RED, Level.LOW, Point(1, 2), object(), Word("w")])
    | st.builds(_Hostile),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(_TEXT, max_size=2), inner, max_size=3)
        | inner.map(lambda one: Box("b", one))
        | inner.map(_Dumps)
    ),
    max_leaves=8,
)


@given(_ANYTHING)
@settings(max_examples=60, deadline=None)
def test_any_value_becomes_strict_json_or_is_refused(value: object) -> None:
    try:
        stored = to_storable(value, max_bytes=ROOM)
    except Unstorable as error:
        assert str(error)
        return

    check_strict(stored)
    # What a store hands back is stored again as the very same bytes.
    assert to_storable(msgspec.json.decode(stored), max_bytes=ROOM) == stored


_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('a"\\\n\x7fü漢😀\u2028', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aü😀", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(_PLAIN)
@settings(max_examples=50, deadline=None)
def test_a_plain_json_value_comes_back_equal(value: object) -> None:
    stored = to_storable(value, max_bytes=ROOM)

    assert json.loads(stored) == value
    assert msgspec.json.decode(stored) == value
