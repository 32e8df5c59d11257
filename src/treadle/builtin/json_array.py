"""The elements of a JSON array one after the other, as views of its text: a list of them would outweigh it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

MAX_DEPTH = 32
"""As deep as the door lets JSON in."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'


def _nested(depth: int) -> bytes:
    # Bracket kinds need not be told apart in JSON that is known to be valid.
    inner = b"" if depth == 1 else b"|" + _nested(depth - 1)
    return rb'[\[{](?:[^"\[\]{}]++|' + _STRING + inner + rb")*+[\]}]"


# Possessive throughout: valid JSON needs no second look, and a place to come back to costs 100 bytes a character.
_ELEMENT = re.compile(rb"\s*+(" + _nested(MAX_DEPTH) + b"|" + _STRING + rb'|[^"\[\]{},\s]++)\s*+([,\]])', re.DOTALL)
_EMPTY = re.compile(rb"\[\s*+\]")


def elements(array: msgspec.Raw) -> Iterator[memoryview]:
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
