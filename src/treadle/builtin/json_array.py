"""A JSON array in parts, as text: an element after the other, or as many as fit a portion. A list would outweigh it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

MAX_DEPTH = 32
"""As deep as the door lets JSON in."""

PORTION_BYTES = 32 * 1024
"""Enough that what is done once a portion costs nothing, and little beside the array itself as Python's objects."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'


def _nested(depth: int) -> bytes:
    # Bracket kinds need not be told apart in JSON that is known to be valid.
    inner = b"" if depth == 1 else b"|" + _nested(depth - 1)
    return rb'[\[{](?:[^"\[\]{}]++|' + _STRING + inner + rb")*+[\]}]"


# Possessive throughout: valid JSON needs no second look, and a place to come back to costs 100 bytes a character.
_VALUE = b"(?:" + _nested(MAX_DEPTH) + b"|" + _STRING + rb'|[^"\[\]{},\s]++)'
_ELEMENT = re.compile(rb"\s*+(" + _VALUE + rb")\s*+[,\]]", re.DOTALL)
_ELEMENTS = re.compile(rb"(?:\s*+" + _VALUE + rb"\s*+,)*+", re.DOTALL)
_LAST_BETWEEN_OBJECTS = re.compile(rb".*\}(\s*+,)(?=\s*+\{)", re.DOTALL)
_EMPTY = re.compile(rb"\[\s*+\]")

_raw = msgspec.json.Decoder(msgspec.Raw)


def elements(array: msgspec.Raw | bytes) -> Iterator[memoryview]:
    """The text of each element of ``array``, which is valid JSON. Raises ``ValueError`` where it nests too deep."""
    text = memoryview(array)
    if _EMPTY.fullmatch(text):
        return
    position = 1
    while position < len(text):
        found = _ELEMENT.match(text, position)
        if found is None:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        yield text[slice(*found.span(1))]
        position = found.end()


def portions(array: msgspec.Raw) -> Iterator[bytes]:
    """``array``, which is valid JSON, as smaller arrays of the same elements, in order; one at least.

    Each has ``PORTION_BYTES`` of text at most, or one element. Raises ``ValueError`` where one nests too deep.
    """
    text = memoryview(array)
    position = 1
    while len(text) - position > PORTION_BYTES:
        window = bytes(text[position : position + PORTION_BYTES])
        length, step = _objects_in(window) or _elements_in(text, position)
        yield b"[%b]" % bytes(text[position : position + length])
        position += step
    if position < len(text):
        yield b"[%b" % bytes(text[position:])


def _objects_in(window: bytes) -> tuple[int, int] | None:
    """Bytes of the whole objects at the start of ``window``, and with the comma after them; ``None``: look closer.

    Guessed, then proven: a text that begins with an element and is an array between brackets ends with one. Ten times
    as fast as to walk over the elements.
    """
    found = _LAST_BETWEEN_OBJECTS.match(window)
    if found is None:
        return None
    try:
        _raw.decode(b"[%b]" % window[: found.start(1)])
    except msgspec.DecodeError:  # between objects inside of an element, or in a string that looks like it
        return None
    return found.span(1)


def _elements_in(text: memoryview, position: int) -> tuple[int, int]:
    """The same for elements of any kind, up to ``PORTION_BYTES``, or one."""
    found = _ELEMENTS.match(text, position, position + PORTION_BYTES)
    if found is not None and found.end() > position:
        return found.end() - 1 - position, found.end() - position
    element = _ELEMENT.match(text, position)
    if element is None:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return element.end(1) - position, element.end() - position
