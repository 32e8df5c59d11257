from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.builtin.csv_text import Number, escaped, header, lines, read_rows

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | TEXT | st.sampled_from(["=1", " =1", "-5", "+49 30", "a,b", 'q"q', "l\r\nl", "\rx", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(TEXT, VALUES, max_size=4), max_size=6)


def columns_of(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def rendered(rows: list[dict[str, Any]], *, escape_formulas: bool = True) -> str:
    columns, read = columns_of(rows), read_rows(json.dumps(rows).encode())
    return header(columns, escape_formulas=escape_formulas) + lines(read, columns, escape_formulas=escape_formulas)


def as_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


@given(ROWS, st.booleans())
def test_a_csv_reader_gets_back_the_escaped_cells(rows: list[dict[str, Any]], escape_formulas: bool) -> None:
    columns = columns_of(rows)

    text = rendered(rows, escape_formulas=escape_formulas)

    header, *lines = list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    escape = escaped if escape_formulas else str
    assert header == [escape(name) for name in columns]
    assert len(lines) == (len(rows) if columns else 0)
    for row, line in zip(rows, lines, strict=False):
        for name, cell in zip(columns, line, strict=True):
            value = row.get(name)
            if isinstance(value, dict | list):
                assert json.loads(cell) == value
            else:
                assert cell == (escape(value) if isinstance(value, str) else as_cell(value))


@given(ROWS)
def test_every_line_ends_in_crlf_and_the_same_rows_make_the_same_text(rows: list[dict[str, Any]]) -> None:
    text = rendered(rows)

    assert text == rendered(rows)
    assert text == "" or text.endswith("\r\n")


@given(TEXT | st.text("=+-@＝\t '\"\ufeff1e.x", max_size=6))
def test_a_quote_is_put_where_a_formula_could_begin_and_nowhere_else(text: str) -> None:
    could_run = text.lstrip(" \u00a0\ufeff\u200b\u2060\"'")[:1] in tuple("=+-@\t\r\n＝＋－＠")

    assert escaped(text) in (text, "'" + text)
    if not could_run:
        assert escaped(text) == text
    elif escaped(text) == text:
        assert set(text) <= set("0123456789 +-.,'eE%()/")
        assert any(character.isdecimal() for character in text)


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "@SUM(A1)", "\t=2", "\r=3", "\n=4", "\tx", "+cmd|' /C calc'!A0", "-cmd", "-2+3+cmd|' /C calc'!A0"),
        *(
            "＝1",
            "＠x",
            "＋1＋1",
            "－a",
            " =1",
            "\ufeff=1",
            '"=1',
            "'=1",
            ' "=1',
            "  \ufeff '=1",
            "\u00a0=1",
            "\u200b=1",
        ),
        *("-", "+", "=", "@", "-1-2", "- 5", "+", "-1+1", "+1+1", "+(1)", "-5e", "+49x", "-5\n", "-5\t"),
    ],
)
def test_what_a_spreadsheet_would_run_gets_a_quote(text: str) -> None:
    assert escaped(text) == "'" + text
    assert rendered([{"a": text}]).startswith("a\r\n")
    assert next(csv.reader(io.StringIO(rendered([{text: 1}]), newline=""))) == ["'" + text]


@pytest.mark.parametrize(
    "text",
    [
        *("-5", "+5", "-1.5e3", "-1.5E-3", "-.5", "-1,234.50", "-1.234,50", "-1'000", "-5%", "-5 %", " -5", "-5 "),
        *("+49 30 1", "+49 (30) 123-456/7", "+1.202.555.0100", "+4930123", "+1-202-555-0100"),
        *(
            "",
            " ",
            "x",
            "a=b",
            "1-2",
            "1+1",
            "'quoted'",
            "'",
            '"',
            " x",
            "\ufeff",
            "é",
            "0",
            "(1)",
            "_=1",
            "a@example.com",
        ),
    ],
)
def test_numbers_telephone_numbers_and_other_text_are_left_alone(text: str) -> None:
    assert escaped(text) == text


@pytest.mark.parametrize("number", ["1.0", "1.10", "1e100", "1E5", "-0.0", "-5", "-1.5e-3", "12345678901234567890.5"])
def test_a_json_number_stays_as_it_is_written_and_is_never_escaped(number: str) -> None:
    rows = read_rows(f'[{{"a":{number},"b":[{number}]}}]'.encode())

    assert lines(rows, ["a", "b"]) == f"{number},[{number}]\r\n"


def test_integers_keep_every_digit() -> None:
    assert rendered([{"a": 2**53 - 1, "b": -(2**53) + 1}]) == "a,b\r\n9007199254740991,-9007199254740991\r\n"


def test_a_number_is_text_of_its_own_kind() -> None:
    [row] = read_rows(b'[{"a":1.50}]')

    assert row == {"a": "1.50"}
    assert type(row["a"]) is Number


def test_nested_values_are_compact_json_with_readable_text() -> None:
    assert rendered([{"a": {"b": [1, 2.5, None, True, "é"]}, "c": []}]) == (
        'a,c\r\n"{""b"":[1,2.5,null,true,""é""]}",[]\r\n'
    )


def test_rows_of_differing_members_have_blanks_where_they_lack_one() -> None:
    assert rendered([{"b": 1}, {"a": 2, "b": None}, {"c": True}]) == "b,a,c\r\n1,,\r\n,2,\r\n,,true\r\n"


def test_a_blank_line_of_one_column_is_quoted_so_that_readers_count_it() -> None:
    assert rendered([{"a": None}, {"a": ""}]) == 'a\r\n""\r\n""\r\n'
    assert rendered([{"": 1}]) == '""\r\n1\r\n'


def test_rows_without_any_member_make_no_text() -> None:
    assert rendered([]) == rendered([{}, {}]) == ""


def test_header_cells_are_escaped_and_quoted_like_others() -> None:
    assert rendered([{"=1": 1, 'a"b': 2, "c\nd": 3, "e,f": 4}]) == '\'=1,"a""b","c\nd","e,f"\r\n1,2,3,4\r\n'


@given(ROWS, st.integers(0, 6), st.booleans())
def test_where_the_rows_are_parted_makes_no_difference(
    rows: list[dict[str, Any]], first: int, escape_formulas: bool
) -> None:
    columns, read = columns_of(rows), read_rows(json.dumps(rows).encode())

    parted = [lines(part, columns, escape_formulas=escape_formulas) for part in (read[:first], read[first:])]

    assert "".join(parted) == lines(read, columns, escape_formulas=escape_formulas)


def test_members_that_are_no_column_are_left_out() -> None:
    assert lines([{"a": 1, "b": 2}, {"b": 3}], ["b"]) == "2\r\n3\r\n"
