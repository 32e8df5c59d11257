"""What the strict door takes and refuses, at byte level: the rows I002 to I030 of the bad-input matrix."""

from __future__ import annotations

import itertools
import json
import sqlite3

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.errors import InvalidInput, MalformedJson
from treadle.jsontext import MAX_DEPTH, MAX_SAFE_INTEGER, canonical, check_strict

MALFORMED = "malformed_json"


def verdict(body: bytes) -> str | None:
    """The code with which ``body`` is refused; ``None`` where it is taken."""
    try:
        check_strict(body)
    except MalformedJson as error:
        assert [problem.code for problem in error.problems] == [MALFORMED]
        return MALFORMED
    except InvalidInput as error:
        (problem,) = error.problems
        return problem.code
    return None


def test_what_is_one_strict_document_is_taken() -> None:
    bodies = [
        b"{}",
        b"[]",
        b"null",
        b"true",
        b'""',
        b"0",
        b' \t\r\n{ "a" : [ 1 , 2 ] } \n',
        b"-0",
        b"1.0",
        b"1E2",
        b"1e-400",
        b"-9007199254740991",
        b"9007199254740991",
        b"1.7976931348623157e308",
        b'{"":{"":{}}}',
        b'[{"a":1},{"a":1}]',
        b'"\\ud83d\\ude00"',
        b'"\\uD83D\\uDE00 and \\uDBFF\\uDFFF"',
        b'"\\\\u0000"',
        b'"\\\\\\\\ud800"',
        b'"\\u0001 \\u001f \\u2028 \\ufeff \\uffff \\ud7ff \\ue000"',
        b'"\\"\\\\\\/\\b\\f\\n\\r\\t"',
        '"😀 ü 漢 \u2028 \u2029 \ufeff \u202e e\u0301 \x7f"'.encode(),
        b'{"[[[[{{{{":"]]]]}}}}\\"[[[["}',
    ]

    assert {body: verdict(body) for body in bodies} == dict.fromkeys(bodies, None)


def test_what_is_no_json_is_malformed() -> None:
    bodies = [
        b"",
        b" ",
        b"{",
        b"nul",
        b"True",
        b"undefined",
        b'{"a":1,}',
        b"[1,]",
        b"[,1]",
        b"{'a':1}",
        b"{a:1}",
        b"{}{}",
        b"{} x",
        b"1 2",
        b"// no\n{}",
        b"/* no */{}",
        b'{"a" 1}',
        b'{"a":}',
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"1_000",
        b"--1",
        b'"',
        b'"\\"',
        b'"\\',
        b'"a\nb"',
        b'"a\tb"',
        b'"a\x00b"',
        b'"\x1f"',
        b'"\\x41"',
        b'"\\u12"',
        b'"\\u12g4"',
        b'"\\U0001F600"',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-16-le"),
        "{}".encode("utf-32"),
        "{}".encode("utf-32-be"),
        b'"\xff"',
        b'"\xc3"',
        b'"\xc0\x80"',
        b'"\xed\xa0\x80"',  # a surrogate in UTF-8's clothes
        b'"\xf4\x90\x80\x80"',  # beyond U+10FFFF
        b"\xa0{}",
        "\u00a0{}".encode(),
        b"\x0b{}",
        b"\x0c{}",
        b"{}\x00",
    ]

    assert {body: verdict(body) for body in bodies} == dict.fromkeys(bodies, MALFORMED)


PLACES = ["%s", "[%s]", '{"a":%s}', '{"a":[1,{"b":%s}]}']


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_no_json_wherever_they_stand(literal: str) -> None:
    assert {verdict((where % literal).encode()) for where in PLACES} == {MALFORMED}


def test_the_words_nan_and_infinity_are_text_like_any_other() -> None:
    assert verdict(b'{"NaN":"-Infinity"}') is None


@pytest.mark.parametrize(
    "number",
    [
        "1e999",
        "-1e999",
        "1.8e308",
        "9007199254740992",
        "-9007199254740992",
        "9007199254740993",
        "1" + "0" * 400,
        "9" * 5_000,
        "-" + "9" * 5_000,
        "0." + "1" * 5_000,
        "1" * 5_000 + ".5",
        "1e" + "9" * 5_000,
    ],
)
def test_a_number_that_would_lose_its_value_is_out_of_range(number: str) -> None:
    assert {verdict((where % number).encode()) for where in PLACES} == {"number_out_of_range"}


def test_the_largest_safe_integer_is_the_one_that_every_reader_agrees_on() -> None:
    assert MAX_SAFE_INTEGER == 9_007_199_254_740_991


def test_nul_is_refused_in_values_and_in_names() -> None:
    bodies = [
        b'"\\u0000"',
        b'"a\\u0000b"',
        b'{"\\u0000":1}',
        b'{"a":{"b":["\\u0000"]}}',
        b'"\\\\\\u0000"',
        b'"\\u0041\\u0000"',
        b'"\\\\u0000\\u0000"',
        b'"\\ud83d\\ude00\\u0000"',
    ]

    assert {body: verdict(body) for body in bodies} == dict.fromkeys(bodies, "nul_character")


def test_half_of_a_surrogate_pair_is_refused_whatever_stands_between() -> None:
    bodies = [
        b'"\\ud800"',
        b'"\\udc00"',
        b'"\\uDBFF"',
        b'"\\uDfFf"',
        b'{"\\ud800":1}',
        b'{"\\udc00":1}',
        b'["\\ud800","\\udc00"]',
        b'{"\\ud800":"\\udc00"}',
        b'"\\ud83d \\ude00"',
        b'"\\ud83dx\\ude00"',
        b'"\\ud83d\\n\\ude00"',
        b'"\\ud83d\\\\\\ude00"',
        b'"\\ud83d\\u0041\\ude00"',
        b'"\\ud83d\\\\ude00"',
        b'"\\ude00\\ud83d"',
        b'"\\ud83d\\ud83d\\ude00"',
        b'"\\ud83d\\ude00\\ude00"',
        b'"\\\\\\ud800"',
        b'"\\\\\\\\\\ud800"',
        b'"\\ud800\\u0000"',
        '"\\ud83d😀\\ude00"'.encode(),
    ]

    assert {body: verdict(body) for body in bodies} == dict.fromkeys(bodies, "lone_surrogate")


@pytest.mark.parametrize(
    ("escape", "code"), [("u0000", "nul_character"), ("ud800", "lone_surrogate"), ("udc00", "lone_surrogate")]
)
def test_an_odd_number_of_backslashes_makes_an_escape_and_an_even_one_makes_text(escape: str, code: str) -> None:
    for backslashes in range(1, 9):
        body = b'"' + b"\\" * backslashes + escape.encode() + b'"'

        assert verdict(body) == (code if backslashes % 2 else None), backslashes


def test_a_member_that_is_named_twice_is_refused_at_any_depth() -> None:
    bodies = [
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'{"":1,"":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"\\/":1,"/":2}',
        b'[{"a":1,"a":2}]',
        b'[[[{"b":[{"a":1,"a":2}]}]]]',
        b'{"x":{"a":{},"a":[]}}',
        '{"ü":1,"\\u00fc":2}'.encode(),
        '{"😀":1,"\\ud83d\\ude00":2}'.encode(),
    ]

    assert {body: verdict(body) for body in bodies} == dict.fromkeys(bodies, "duplicate_member")


def test_names_that_only_look_alike_are_different_members() -> None:
    assert verdict('{"é":1,"e\u0301":2,"E":3,"e":4," e":5}'.encode()) is None


SHAPES: dict[str, tuple[bytes, bytes]] = {
    "arrays": (b"[", b"]"),
    "objects": (b'{"a":', b"}"),
    "spaced": (b' [ "", ', b" ] "),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_nesting_up_to_the_limit_is_taken(shape: str) -> None:
    opened, closed = SHAPES[shape]

    for depth in (1, 31, 32):
        assert verdict(opened * depth + b"1" + closed * depth) is None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [33, 100_000])
def test_nesting_beyond_the_limit_is_refused_closed_or_not(shape: str, depth: int) -> None:
    opened, closed = SHAPES[shape]

    assert verdict(opened * depth + b"1" + closed * depth) == "too_deep"
    assert verdict(opened * depth) == "too_deep"


def test_arrays_and_objects_count_together() -> None:
    mixed = b'[{"a":' * 16

    assert verdict(mixed + b"1" + b"}]" * 16) is None
    assert verdict(mixed + b"[]" + b"}]" * 16) == "too_deep"


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 2 * MAX_DEPTH])
@pytest.mark.parametrize("beside", [b'{"a":[{}]}', b'"a]"', b'"[\\""', b"[[[]]]"])
def test_depth_is_exact_among_much_that_is_shallow(depth: int, beside: bytes) -> None:
    deep = b'[{"x":' * ((depth - 1) // 2) + b"[" * ((depth - 1) % 2) + b"1" + b"]" * ((depth - 1) % 2)
    deep += b"}]" * ((depth - 1) // 2)
    body = b"[" + b",".join([beside] * 40 + [deep] + [beside] * 40) + b"]"
    assert verdict(body) == ("too_deep" if depth > MAX_DEPTH else None)


def test_many_shallow_brackets_are_not_deep() -> None:
    assert verdict(b"[" + b"[]," * 5_000 + b"{}]") is None


def test_brackets_inside_strings_are_not_nesting() -> None:
    text = b'"' + b'[{\\"' * 200 + b'"'

    assert verdict(b'{"a":' + text + b"}") is None
    assert verdict(b"[" * 32 + text + b"]" * 32) is None
    assert verdict(b"[" * 33 + text + b"]" * 33) == "too_deep"


def test_quotes_and_brackets_that_do_not_match_are_malformed() -> None:
    assert verdict(b"]" * 40 + b"[" * 40) == MALFORMED
    assert verdict(b'["' + b"[" * 100) == MALFORMED
    assert verdict(b"[" * 16 + b"]" * 17 + b"[" * 20) == MALFORMED


def test_a_string_that_never_ends_is_refused_after_one_look_at_it() -> None:
    # Looked at again from every escaped quote, 200,000 of them take an hour, and ten MiB take days: the test's
    # timeout is the assertion. A body like this needs no login where submissions are open.
    many_brackets = b"[" + b"[]," * MAX_DEPTH

    assert verdict(many_brackets + b'"' + b'\\"' * 200_000) == MALFORMED
    assert verdict(many_brackets + b'"' + b'\\"' * 200_000 + b"\\") == MALFORMED


def test_a_refusal_names_neither_the_value_nor_the_text_around_it() -> None:
    for body in (b'{"CANARY":1,"CANARY":2}', b'"CANARY\\u0000"', b'{"CANARY" 1}', b'["CANARY",]'):
        with pytest.raises(InvalidInput) as refused:
            check_strict(body)
        assert "CANARY" not in str(refused.value)


def test_a_malformed_body_is_told_where_it_breaks() -> None:
    with pytest.raises(MalformedJson, match="line 2, column 5"):
        check_strict(b'{"a":1,\n"b" 2}')


# Pieces that are likely to be glued together wrongly: a grammar finds more than random bytes do.
_TEXT = 'a"\\/\0\n\x1f\x7fü漢😀\u2028\ufeff'
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(_TEXT, max_size=8)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(_TEXT, max_size=3), inner, max_size=4),
    max_leaves=12,
)
_DOCUMENTS = st.builds(
    lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only).encode(),
    _VALUES,
    st.booleans(),
)
_FRAGMENTS = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b'"a":1', b"\\", b"\\u", b"d83d", b"de00"]
        + [b"0000", b"1", b"-", b"e5", b".5", b"null", b"NaN", b" ", b"\xc3\xbc", b"\x00", b"\xff"]
    ),
    max_size=12,
).map(b"".join)
_STRINGS = st.lists(
    st.sampled_from([b"\\\\", b"\\u0000", b"\\ud83d", b"\\ude00", b"\\n", b"u0000", b"x", b'\\"']),
    max_size=7,
).map(lambda parts: b'"' + b"".join(parts) + b'"')


@given(_DOCUMENTS | _FRAGMENTS | _STRINGS)
@settings(max_examples=80, deadline=None)
def test_what_is_taken_means_the_same_to_every_reader(body: bytes) -> None:
    if verdict(body) is not None:
        return

    read = json.loads(body)
    assert msgspec.json.decode(body) == read
    assert json.loads(msgspec.json.encode(read)) == read
    assert _sqlite("SELECT json_valid(?)", body.decode()) == 1
    assert _sqlite("SELECT ? = CAST(? AS TEXT)", body.decode(), body) == 1
    assert json.loads(canonical(body)) == read


@given(_STRINGS)
@settings(max_examples=50, deadline=None)
def test_escapes_are_judged_as_python_reads_them(body: bytes) -> None:
    text = json.loads(body)
    is_storable = "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)

    assert (verdict(body) is None) == is_storable


def test_every_short_text_of_json_characters_is_judged_as_python_judges_it() -> None:
    for length in range(1, 5):
        for characters in itertools.product('{}[]",:1\\', repeat=length):
            body = "".join(characters)
            try:
                json.loads(body)
            except ValueError:
                assert verdict(body.encode()) == MALFORMED, body
            else:
                assert verdict(body.encode()) is None, body


def _sqlite(question: str, *values: object) -> object:
    with sqlite3.connect(":memory:") as connection:
        return connection.execute(question, values).fetchone()[0]


# ---------------------------------------------------------------------------- canonical


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"b":2}', b'{ "b" : 2 ,\n"a" : 1 }'),
        (b'[{"b":[],"a":{}}]', b'[ {"a": { }, "b": [ ]} ]'),
        (b'"\\u00fc\\/"', '"ü/"'.encode()),
        (b'"\\ud83d\\ude00"', '"😀"'.encode()),
        (b"1e2", b"100.0"),
    ],
)
def test_equal_documents_have_one_canonical_form(one: bytes, other: bytes) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"[1,2]", b"[2,1]"),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":null}', b"{}"),
        (b"true", b"1"),
        (b'"a"', b'"A"'),
        ('"é"'.encode(), '"e\u0301"'.encode()),
        (b"0.1", b"0.10000000000000002"),
    ],
)
def test_different_documents_have_different_canonical_forms(one: bytes, other: bytes) -> None:
    assert canonical(one) != canonical(other)


@given(_VALUES)
@settings(max_examples=50, deadline=None)
def test_neither_member_order_nor_white_space_changes_the_canonical_form(value: object) -> None:
    if verdict(json.dumps(value).encode()) is not None:
        return

    assert canonical(json.dumps(_shuffled(value), indent=2).encode()) == canonical(
        json.dumps(value, separators=(",", ":")).encode()
    )


def _shuffled(value: object) -> object:
    if isinstance(value, dict):
        return {name: _shuffled(value[name]) for name in reversed(value)}
    return [_shuffled(part) for part in value] if isinstance(value, list) else value
