"""CSV text from rows of JSON values: cells, formula escapes, RFC 4180. Pure; the same rows make the same text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

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


_decoder = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Number)
_encoder = msgspec.json.Encoder(enc_hook=_number_as_written)
_WRITTEN_AS_THEY_ARE = frozenset({str, int, Number, type(None)})
"""The csv module writes them as JSON does, and nothing as a blank."""


def read_rows(text: bytes) -> list[dict[str, Any]]:
    """An array of objects, their fractions as ``Number``. Raises ``msgspec.ValidationError`` for any other value."""
    return _decoder.decode(text)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run ``text`` when it opens the file."""
    return _FORMULA.match(text) is not None and _PLAIN.fullmatch(text) is None


def escaped(text: str) -> str:
    """``text``, with a ``'`` before it where a spreadsheet would run it."""
    return "'" + text if is_formula(text) else text


def header(columns: Sequence[str], *, escape_formulas: bool = True) -> str:
    """The first line; no columns, no text."""
    return _lines([[escaped(name) for name in columns] if escape_formulas else columns]) if columns else ""


def lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, escape_formulas: bool = True) -> str:
    """A line a row, as ``read_rows`` gives them; no columns, no text.

    Members that are no column are left out, missing ones are blank.
    """
    if not columns:
        return ""
    # All rows' cells at once, each look a pass over them: with a step a row, tables of one column took twice as long,
    # and with a step a column those of thousands.
    cells = [value for row in rows for value in map(row.get, columns)]
    kinds = set(map(type, cells))
    if escape_formulas and str in kinds:
        cells = [
            "'" + value if type(value) is str and value[:1] in _MAY_BE_FORMULA and is_formula(value) else value
            for value in cells
        ]
    if not kinds <= _WRITTEN_AS_THEY_ARE:
        cells = [value if type(value) in _WRITTEN_AS_THEY_ARE else _as_json(value) for value in cells]
    return _lines(zip(*[iter(cells)] * len(columns), strict=True))


def _as_json(value: object) -> str:
    return _encoder.encode(value).decode()


def _lines(rows: Iterable[Sequence[str | int | None]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
