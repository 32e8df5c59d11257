"""What is covered, what is not, and that the rest is told as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.admin.masked import MAX_SHOWN_CHARACTERS, readable

SECRETS = ("password", "PASSWD", "client_secret", "token", "X-Authorization", "apiKey", "api_key", "Cookie", "pass")
PLAIN = ("user", "author", "key", "apples", "")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def shown(document: Any) -> Any:
    return json.loads(readable(json.dumps(document).encode()).text)


def covered(document: Any) -> Any:
    """The rule, said another way."""
    words = ("pass", "secret", "token", "authori", "apikey", "api-key", "api_key", "api key", "cookie")
    if isinstance(document, dict):
        return {
            name: "•••" if any(word in name.lower() for word in words) else covered(value)
            for name, value in document.items()
        }
    return [covered(value) for value in document] if isinstance(document, list) else document


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", ["x", 1, None, {"a": [1, {"b": "x"}]}, [1, [2]], {}, []])
def test_whatever_a_secret_holds_is_covered(name: str, value: Any) -> None:
    document = {"before": {"a": 1}, name: value, "after": [{name: value}, 2]}

    assert shown(document) == {"before": {"a": 1}, name: "•••", "after": [{name: "•••"}, 2]}


@pytest.mark.parametrize("name", PLAIN)
def test_the_rest_is_shown(name: str) -> None:
    assert shown({name: [1, "a\nb", None]}) == {name: [1, "a\nb", None]}


def test_a_name_that_is_written_in_escapes_is_read() -> None:
    assert "x" not in readable(rb'{"p\u0061ss":"x"}').text


@given(values)
def test_any_document_is_shown_with_its_secrets_covered(document: Any) -> None:
    assert shown(document) == covered(document)


def test_a_text_that_looks_like_a_member_covers_nothing() -> None:
    document = {"note": '\n  "password": {', "n": 1}

    assert shown(document) == document


def test_what_is_too_long_is_cut_and_says_so() -> None:
    seen = readable(json.dumps(["x" * 200] * 1000).encode())

    assert seen.is_cut
    assert len(seen.text) <= MAX_SHOWN_CHARACTERS
    assert not readable(b'{"a":1}').is_cut


def test_a_long_secret_is_covered_before_anything_is_cut() -> None:
    assert shown({"token": "x" * 1_000_000, "n": 1}) == {"token": "•••", "n": 1}
