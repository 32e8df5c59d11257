"""What the fuzzer cannot know from the document: values of our own formats, and what strict JSON leaves out."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st

MAX_SAFE_INTEGER = 2**53 - 1

schemathesis.openapi.format(
    "email", st.sampled_from(["ada@example.com", "bob+x@mail.example.org", "x@b\u00fccher.example"])
)
schemathesis.openapi.format(
    "single-line", st.from_regex("[A-Za-z\u00c0-\u00ff][ -<>-~\u00c0-\u00ff]{0,40}", fullmatch=True)
)
schemathesis.openapi.format("cursor", st.just("MDE5YzAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAw"))
schemathesis.openapi.format("decimal", st.decimals(0, 1, places=2).map(str))


def is_strict(value: Any) -> bool:
    """Whether it is all of the JSON that all its readers agree about (docs/http.md): a schema cannot say so.

    To a schema 3.0 is an integer, here whole numbers are written without a fraction.
    """
    if isinstance(value, dict):
        return all(is_strict(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return all(map(is_strict, value))
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        return not value.is_integer()
    return not isinstance(value, int) or abs(value) <= MAX_SAFE_INTEGER


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    return is_strict(body)
