"""The fingerprint of a document, whole or in pieces."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treadle import fingerprint as fingerprints
from treadle.fingerprint import fingerprint
from treadle.jsontext import canonical

_SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text('a",]}[{\\ü😀 ', max_size=6)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text('ab"ü😀', max_size=3), inner, max_size=5),
    max_leaves=20,
)


@pytest.fixture(autouse=True, scope="module")
def tiny_pieces() -> object:
    """Nearly every document is cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprints, "PIECE_BYTES", 4)
        yield


@given(_VALUES, st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=200, deadline=None)
@example([[], {}, [[]], [{"a": 1}], "]", [1, [2]]], 1, False)
@example([[1, 2], 3, "x", {"b": [{}], "a": {"ü": "😀"}}], None, True)
def test_the_pieces_make_up_the_canonical_form(value: object, indent: int | None, ascii_only: bool) -> None:
    body = b" \n" + json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode() + b"\t"
    assert fingerprint(body) == hashlib.sha256(canonical(body)).digest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'[{"a":1},{"a":2}]', b'[{"a":2},{"a":1}]'),
        (b"[[1],[2]]", b"[[1,2]]"),
        (b"[[1],2]", b"[[1],[2]]"),
        (b'{"a":{"b":1234}}', b'{"a":{"b":1235}}'),
        (b"[{},{},{}]", b"[{},{}]"),
        (b'["[]","[]"]', b"[[],[]]"),
    ],
)
def test_different_documents_have_different_fingerprints(one: bytes, other: bytes) -> None:
    assert fingerprint(one) != fingerprint(other)
