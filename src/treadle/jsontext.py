"""Strict JSON at the door, and one total function that makes any value storable.

What passes here is stored and returned equal by every store: no NaN or infinity, no duplicate members, no lone
surrogates, no NUL, no number that loses digits, no nesting beyond ``MAX_DEPTH``.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import msgspec

from treadle.errors import InvalidInput, MalformedJson, Problem, Unstorable

MAX_DEPTH = 32
MAX_SAFE_INTEGER = 2**53 - 1
"""Beyond it JavaScript and jsonb readers disagree about digits (RFC 8259 section 6); send a string instead."""

# Possessive, and a string need not end: looked at again from every quote of an unclosed string, ten MiB take days,
# and a backtracking point a character takes a hundred bytes of memory for each.
_STRINGS_AND_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_STRINGS_WITHOUT_BRACKETS = re.compile(rb'(?:[^"]++|"(?:[^"\\\[\]{}]++|\\.)*+")*+', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_ESCAPES = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_WIDE_ESCAPE = re.compile(rb"\\u(?!00[0-7])")
_RISKY_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89abAB])|\\u[dD][c-fC-F]")


def _refuse(code: str, detail: str) -> NoReturn:
    raise InvalidInput([Problem("", code, detail)])


def _no_constant(_: str) -> NoReturn:
    raise MalformedJson([Problem("", "malformed_json", "NaN and Infinity are not JSON")])


def _integer(digits: str) -> None:
    if len(digits) > 15 and (len(digits) > 17 or abs(int(digits)) > MAX_SAFE_INTEGER):
        _refuse("number_out_of_range", "whole numbers must lie within ±(2^53 - 1); send larger ones as strings")


def _float(digits: str) -> None:
    # Thousands of digits parse to a finite float, yet no store gives them back as they came.
    if len(digits) > 400 or not math.isfinite(float(digits)):
        _refuse("number_out_of_range", "a number is too large for a 64-bit float")


def _members(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len(dict(pairs)) != len(pairs):
        _refuse("duplicate_member", "an object names the same member twice")


# Every hook returns None, so checking 10 MiB keeps no tree of objects: they die as they are seen.
_CHECKER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_no_constant
)
_MEASURE = json.JSONDecoder(object_pairs_hook=lambda _: None)
_BETWEEN = re.compile(r"[ \t\n\r,]*")
_WINDOW_BYTES = 64 * 1024
_CONTINUATIONS = bytes(range(0x80, 0xC0))


def check_strict(body: bytes) -> None:
    """Return if ``body`` is one strict JSON document.

    Raises ``MalformedJson`` where it is no JSON, ``InvalidInput`` where it is JSON that could not be stored and
    returned equal (codes ``duplicate_member``, ``number_out_of_range``, ``nul_character``, ``lone_surrogate``,
    ``too_deep``).
    """
    _check_depth(body)
    try:
        check_utf8(body)
    except UnicodeDecodeError:
        raise MalformedJson([Problem("", "malformed_json", "the body is not UTF-8")]) from None
    encoding = _encoding_to_check_in(body)
    try:
        _CHECKER.decode(body.decode(encoding))
    except json.JSONDecodeError as error:
        column = error.colno if encoding == "utf-8" else _column(body, error.pos)
        where = f"line {error.lineno}, column {column}"
        raise MalformedJson([Problem("", "malformed_json", f"the body is not valid JSON ({where})")]) from None
    except RecursionError:
        _refuse("too_deep", f"nested deeper than {MAX_DEPTH}")
    _check_escapes(body)


def check_utf8(data: bytes) -> None:
    """Return if ``data`` is UTF-8. Raises ``UnicodeDecodeError``. Decoded whole, megabytes would be there twice."""
    if len(data) <= _WINDOW_BYTES:
        data.decode()
        return
    decode = codecs.getincrementaldecoder("utf-8")().decode
    for start in range(0, len(data), _WINDOW_BYTES):
        decode(data[start : start + _WINDOW_BYTES])
    decode(b"", True)


def _encoding_to_check_in(body: bytes) -> str:
    """Latin-1 wherever no name can come out as another: a text of it has a byte for every byte of the body.

    As UTF-8 one emoji makes four bytes of every character. JSON's own characters are ASCII, so it means the same in
    both; but "é" as it is and as an escape are one name only in UTF-8, and a body may hold both.
    """
    is_mixed = not body.isascii() and _WIDE_ESCAPE.search(body) is not None
    return "utf-8" if is_mixed else "latin-1"


def _column(body: bytes, position: int) -> int:
    line = body[body.rfind(b"\n", 0, position) + 1 : position]
    return len(line.translate(None, _CONTINUATIONS)) + 1


def _check_depth(body: bytes) -> None:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH or _is_shallow(body):
        return
    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(body):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse("too_deep", f"nested deeper than {MAX_DEPTH}")
        elif token in b"]}":
            depth -= 1


def _is_shallow(body: bytes) -> bool:
    """Whether it is surely not too deep; ``False``: its brackets have to be gone through one by one.

    Where no string holds a bracket, those alone tell, and each round takes the innermost pairs away.
    """
    if _STRINGS_WITHOUT_BRACKETS.fullmatch(body) is None:
        return False
    brackets = body.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return True
    return False


def _check_escapes(body: bytes) -> None:
    if _RISKY_ESCAPE.search(body) is None:
        return
    high_end = -1  # where a high surrogate's escape ended, if one is open
    for match in _ESCAPES.finditer(body):
        code = int(match[1], 16) if match[1] else -1
        is_low = 0xDC00 <= code <= 0xDFFF
        if (high_end >= 0) != is_low or (is_low and match.start() != high_end):
            _refuse("lone_surrogate", "a string holds half of a surrogate pair")
        if code == 0:
            _refuse("nul_character", "a string holds U+0000")
        high_end = match.end() if 0xD800 <= code <= 0xDBFF else -1
    if high_end >= 0:
        _refuse("lone_surrogate", "a string holds half of a surrogate pair")


def elements(array: memoryview) -> Iterator[memoryview]:
    """The elements of a strict JSON array one by one: a list of all would take seventy bytes for each."""
    text = str(array, "latin-1")  # a character a byte, so that positions are those of the bytes
    start = _after(text, 1)
    while text[start] != "]":
        _, end = _MEASURE.raw_decode(text, start)
        yield array[start:end]
        start = _after(text, end)


def _after(text: str, position: int) -> int:
    between = _BETWEEN.match(text, position)
    return between.end() if between is not None else position


def canonical(body: bytes | memoryview) -> bytes:
    """``body`` (already strict) with members sorted and white space gone: equal for equal documents."""
    return msgspec.json.encode(msgspec.json.decode(body), order="sorted")


def to_storable(value: object, *, max_bytes: int) -> bytes:
    """Any value as compact JSON that every store takes and returns equal.

    Structs, dataclasses, pydantic models, datetimes, UUIDs, enums and sets become their JSON forms. Raises
    ``Unstorable`` with the reason for everything else: total, whatever ``value`` is.
    """
    if value is None:
        return b"null"
    try:
        plain = _plain(value, _dump)
        _check_value(plain, MAX_DEPTH)
        text = msgspec.json.encode(plain)
    except RecursionError:
        raise Unstorable(f"nested deeper than {MAX_DEPTH}, or cyclic") from None
    except Unstorable:
        raise
    except (Exception, SystemExit) as error:
        raise Unstorable(f"not representable as JSON ({type(error).__name__})") from None
    if len(text) > max_bytes:
        raise Unstorable(f"{len(text)} bytes of JSON, more than the {max_bytes} allowed")
    return text


def _plain(value: object, dump: Callable[[object], object] | None) -> object:
    # Bytes are left as they are, to be refused: as base64 they would not come back equal.
    return msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview), str_keys=True, enc_hook=dump)


def _dump(value: object) -> object:
    # msgspec takes text and numbers of exact types only; numpy.float64 is a float, markupsafe.Markup a str.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    dump = None if isinstance(value, type) else getattr(value, "model_dump", None)
    if dump is None:
        raise Unstorable(f"a value of type {type(value).__name__} is not JSON")
    # A pydantic model dumps itself whole; without a hook, one that dumps models for ever is refused at once.
    return _plain(dump(mode="json"), None)


def _check_value(value: object, depth_left: int) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if "\0" in value:
            raise Unstorable("a string holds U+0000")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise Unstorable("a string holds half of a surrogate pair")
    elif isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise Unstorable("a whole number beyond ±(2^53 - 1)")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unstorable("NaN or infinity")
    elif isinstance(value, dict | list | tuple):
        if depth_left == 0:
            raise Unstorable(f"nested deeper than {MAX_DEPTH}")
        parts = value if not isinstance(value, dict) else [*value.keys(), *value.values()]
        for part in parts:
            _check_value(part, depth_left - 1)
    else:
        raise Unstorable(f"a value of type {type(value).__name__} is not JSON")
