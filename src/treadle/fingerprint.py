"""One digest for equal JSON documents, made piece by piece: a tree of ten megabytes takes fifty."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from treadle.jsontext import canonical

PIECE_BYTES = 64 * 1024

_RAW = msgspec.json.Decoder(msgspec.Raw)
_RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BETWEEN = re.compile(r"[ \t\n\r,]*")


def _forget(_: list[tuple[str, Any]]) -> None:
    pass


_MEASURE = json.JSONDecoder(object_pairs_hook=_forget).raw_decode


def fingerprint(body: bytes) -> bytes:
    """SHA-256 of the canonical form of ``body`` (already strict): 32 bytes, equal for equal documents."""
    digest = hashlib.sha256()
    for piece in canonical_pieces(memoryview(_RAW.decode(body))):
        digest.update(piece)
    return digest.digest()


def canonical_pieces(value: memoryview) -> Iterator[bytes]:
    """``canonical(value)`` in pieces; ``value``: one strict JSON value without white space around it."""
    if len(value) > PIECE_BYTES and value[0] == ord("{"):
        yield from _object_pieces(value)
    elif len(value) > PIECE_BYTES and value[0] == ord("["):
        yield from _array_pieces(value)
    else:
        yield canonical(value)


def _object_pieces(value: memoryview) -> Iterator[bytes]:
    members = _RAW_MEMBERS.decode(value)
    before = b"{"
    for name in sorted(members):
        yield before + msgspec.json.encode(name) + b":"
        yield from canonical_pieces(memoryview(members[name]))
        before = b","
    yield b"}"


def _array_pieces(value: memoryview) -> Iterator[bytes]:
    text = str(value, "latin-1")  # a character a byte, so that positions are those of the bytes
    position = start = _after(text, 1)
    if text[position] not in "[{":  # single values: a list of them is smaller than a walk over them is slow
        yield canonical(value)
        return
    before = b"["
    while text[position] != "]":
        _, end = _MEASURE(text, position)
        position = _after(text, end)
        if end - start > PIECE_BYTES or text[position] == "]":
            yield before + canonical(b"[" + value[start:end] + b"]")[1:-1]
            before, start = b",", position
    yield b"]"


def _after(text: str, position: int) -> int:
    between = _BETWEEN.match(text, position)
    return between.end() if between is not None else position
