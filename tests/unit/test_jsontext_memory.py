"""Large documents are checked and walked without a second, wider or heavier copy of them; and judged alike."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treadle import jsontext
from treadle.errors import InvalidInput
from treadle.fingerprint import fingerprint
from treadle.jsontext import check_strict, elements

EMOJI = "😀".encode()
ROW = b'{"id":1,"Gr\xc3\xb6\xc3\x9fe":"some text","note":null}'
ROWS = b'{"payload":{"data":[' + b",".join([b'{"note":"' + EMOJI + b'"}'] + [ROW] * 8_000) + b"]}}"


def peak_bytes(work: Callable[[], object]) -> int:
    """What ``work`` held at most, beside what was there."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("body", [ROWS, b'"' + EMOJI + b"x" * 2_000_000 + b'"'], ids=["rows", "string"])
def test_a_check_holds_one_byte_for_every_byte_and_a_little(body: bytes) -> None:
    longest_string = 0 if body == ROWS else 6 * len(body)  # the scanner makes it, four bytes a character, as it looks
    assert peak_bytes(lambda: check_strict(body)) < 1.4 * len(body) + longest_string


def test_a_fingerprint_holds_no_tree() -> None:
    assert peak_bytes(lambda: fingerprint(ROWS)) < 1.4 * len(ROWS)


def test_elements_come_one_by_one() -> None:
    array = memoryview(b"[" + b"1," * 200_000 + b"1]")
    assert peak_bytes(lambda: next(iter(elements(array)))) < 1.4 * len(array)


@given(st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)), st.booleans())
@settings(max_examples=50, deadline=None)
@example(["]", ",", "[", "ü😀", [], [[]], [1, 2]], True)
def test_elements_are_those_of_the_array(values: list[object], spaced: bool) -> None:
    body = msgspec.json.encode(values)
    array = memoryview(msgspec.json.format(body, indent=1) if spaced else body)
    assert [msgspec.json.decode(element) for element in elements(array)] == values
    assert [bytes(element).strip() for element in elements(array)] == [bytes(element) for element in elements(array)]


def words(body: bytes) -> str | None:
    try:
        check_strict(body)
    except InvalidInput as error:
        return str(error)
    return None


PARTS = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    '"a"',
    '"ü":1',
    '"\\u00fc":2',
    '"Ã¼":3',
    '"\\u00c3\\u00bc":4',
    '"😀"',
    "\n",
    "x",
    "é",
]
PARTS += ['{"ü":1,"\\u00fc":2}', '{"é":1,"Ã©":2}', '"\\ud83d\\ude00"', "1", "\u00a0", "\u0085"]


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join))
@settings(max_examples=300, deadline=None)
@example('{"ü":1,"\\u00fc":2}')
@example('{"Ã¼":1,"\\u00c3\\u00bc":2}')
@example('{"ü":1,"\\u00c3\\u00bc":2}')
@example('{"ü":1,\n"😀é" 2}')
@example('{"ü":1,"ü":2}')
def test_the_verdict_is_that_of_the_characters(text: str) -> None:
    body = text.encode()
    quick = words(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsontext, "_encoding_to_check_in", lambda _: "utf-8")
        assert quick == words(body)
