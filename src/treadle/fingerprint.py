"""One digest for equal JSON documents, made piece by piece: a tree of ten megabytes takes fifty."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from treadle.jsontext import canonical, elements

PIECE_BYTES = 64 * 1024

_RAW = msgspec.json.Decoder(msgspec.Raw)
_RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


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
    before = b"["
    for element in elements(value):
        if before == b"[" and element[0] not in b"[{":
            yield canonical(value)  # a list of single values takes less than a walk over them
            return
        yield before
        yield from canonical_pieces(element)
        before = b","
    yield b"[]" if before == b"[" else b"]"
