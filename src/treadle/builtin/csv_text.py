"""CSV text from rows of JSON values: cells, formula escapes, RFC 4180. Pure; the same rows make the same text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

CHUNK_CHARACTERS = 64 * 1024
"""Text held before it is handed on: enough to make writes cheap, nothing beside the payload itself."""

_ROWS_BETWEEN_LOOKS = 64

_INVISIBLE_LEAD = " \u00a0\ufeff\u200b\u2060"
_QUOTES = "\"'"
_STARTERS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
# What OWASP's "CSV Injection" page lists (2025), and the fullwidth forms of = + - @, which a Japanese Excel takes for
# the plain ones. A spreadsheet drops blanks, a byte order mark or a quote before looking at the first character.
_FORMULA = re.compile(f"[{_INVISIBLE_LEAD}{_QUOTES}]*+[{re.escape(_STARTERS)}]")
_MAY_BE_FORMULA = frozenset(_INVISIBLE_LEAD + _QUOTES + _STARTERS)
# A leading sign, then digits and what stands between them in numbers and telephone numbers: as a formula it could
# compute a sum at worst, and a quote before every "-5" would spoil the column. A minus begins numbers only.
_PLAIN = re.compile(
    r" *+(?:[+-]?(?:[0-9]+(?:[.,' ][0-9]+)*+|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?+ ?%?|\+[0-9][0-9 ()./-]*+) *+"
)


class Number(str):
    """The text of a JSON number, kept so that 1.10 stays 1.10 and 1e100 stays 1e100."""

    __slots__ = ()


def _number_as_written(number: Number) -> msgspec.Raw:
    return msgspec.Raw(number.encode())


_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Number)
_encoder = msgspec.json.Encoder(enc_hook=_number_as_written)


def read_row(text: bytes | memoryview) -> dict[str, Any]:
    """One JSON object, its fractions as ``Number``. Raises ``msgspec.ValidationError`` for any other value."""
    return _decoder.decode(text)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run ``text`` when it opens the file."""
    return _FORMULA.match(text) is not None and _PLAIN.fullmatch(text) is None


def escaped(text: str) -> str:
    """``text``, with a ``'`` before it where a spreadsheet would run it."""
    return "'" + text if is_formula(text) else text


def cells(row: Mapping[str, Any], columns: Sequence[str], *, escape_formulas: bool) -> list[str | int | None]:
    """The row's cells in the columns' order; whole numbers and ``None`` (blank) are left to the csv module."""
    written: list[str | int | None] = []
    value: Any
    # No call for each cell: a function for one made rows a fifth slower (CPython 3.11, 2026).
    for value in map(row.get, columns):
        kind = type(value)
        if kind is str:
            if escape_formulas and value[:1] in _MAY_BE_FORMULA and is_formula(value):
                value = "'" + value
        elif kind is bool:
            value = "true" if value else "false"
        elif kind is dict or kind is list:
            value = _encoder.encode(value).decode()
        written.append(value)
    return written


def render(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, escape_formulas: bool = True) -> Iterator[str]:
    """A header and a line a row, in pieces of about ``CHUNK_CHARACTERS``; no columns, no text.

    Rows as ``read_row`` gives them: members that are no column are left out, missing ones are blank.
    """
    if not columns:
        return
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow([escaped(name) for name in columns] if escape_formulas else columns)
    for number, row in enumerate(rows):
        lines.writerow(cells(row, columns, escape_formulas=escape_formulas))
        if number % _ROWS_BETWEEN_LOOKS == 0 and text.tell() >= CHUNK_CHARACTERS:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()
