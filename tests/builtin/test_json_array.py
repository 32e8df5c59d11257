from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.builtin.json_array import MAX_DEPTH, elements

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
