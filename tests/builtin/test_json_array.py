from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.builtin import json_array
from treadle.builtin.json_array import MAX_DEPTH, elements, portions

TEXT = st.text() | st.text('"\\\\[]{},:/ \n', max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def texts(array: str | bytes) -> list[bytes]:
    return [bytes(element) for element in elements(msgspec.Raw(array))]


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 0, 3]), st.booleans())
def test_the_elements_are_those_of_the_array(values: list[object], indent: int | None, ascii_only: bool) -> None:
    written = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    found = texts(written)

    assert [json.loads(text.decode("utf-8", "surrogatepass")) for text in found] == values


@pytest.mark.parametrize("array", ["[]", "[ ]", "[\n\t]"])
def test_an_empty_array_has_none(array: str) -> None:
    assert texts(array) == []


def test_an_element_is_its_text_untouched() -> None:
    assert texts(b' [ 1.10 ,"a,]" , {"b": [ 1e2 ]}]'.strip()) == [b"1.10", b'"a,]"', b'{"b": [ 1e2 ]}']


def test_as_deep_as_the_door_lets_in_and_no_deeper() -> None:
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert texts(f"[1,{deep},2]") == [b"1", deep.encode(), b"2"]
    with pytest.raises(ValueError, match="deeper than 32"):
        texts(f"[1,[{deep}],2]")


@pytest.mark.parametrize("inner", ['"x",', '{"x":1},', "[],", '"\\\\\\"",'])
def test_one_element_of_mebibytes_is_one_element(inner: str) -> None:
    element = "[" + inner * (4 * 1024 * 1024 // len(inner)) + "1]"

    assert texts(f"[{element}]") == [element.encode()]


ROWS = st.lists(
    st.dictionaries(TEXT | st.sampled_from(["},{", '{"a":1},{', "}, {"]), VALUES | st.sampled_from(["},{", "}] , {"])),
    max_size=8,
)


@given(
    ROWS | st.lists(VALUES, max_size=8),
    st.integers(1, 60),
    st.sampled_from([None, 0, 3]),
    st.sampled_from([(",", ":"), (" ,", " :"), (", ", ": ")]),
)
def test_portions_are_the_array_in_smaller_ones(
    values: list[object], portion_bytes: int, indent: int | None, separators: tuple[str, str]
) -> None:
    written = json.dumps(values, indent=indent, separators=separators).encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "PORTION_BYTES", portion_bytes)
        found = list(portions(msgspec.Raw(written)))

    parts = [json.loads(part) for part in found]
    assert [value for part in parts for value in part] == values
    assert all(
        len(text) <= portion_bytes + len("[]") or len(part) == 1 for text, part in zip(found, parts, strict=True)
    )


@pytest.mark.parametrize("text", ["},{", "}" * 100, '"},{"', "\\", '{"a":{}},{'])
def test_what_looks_like_a_place_between_rows_is_none_within_a_string_or_a_row(text: str) -> None:
    rows = [{"a": text * 50, "rows": [{"b": text}] * 20, "number": n} for n in range(300)]

    found = [json.loads(part) for part in portions(msgspec.Raw(json.dumps(rows).encode()))]

    assert [row for part in found for row in part] == rows
    assert len(found) > 3


def test_portions_nest_no_deeper_than_elements() -> None:
    with pytest.raises(ValueError, match="deeper than 32"):
        list(portions(msgspec.Raw("[" + "[" * 40_000 + "]" * 40_000 + "]")))
