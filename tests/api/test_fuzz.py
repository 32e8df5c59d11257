"""Whatever the bytes are: 201 with the payload kept equal, or 400 and no row."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Api, open_api

GOOD = b'{"type":"GREET","payload":{"name":"Ad\\u00e9 \\ud83d\\ude00","times":2},"priority":"high","delaySeconds":0.5}'

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)
names = st.sampled_from(["type", "payload", "priority", "queue", "runAt", "delaySeconds", "maxAttempts"])
documents = st.dictionaries(names | st.text(max_size=8), anything | st.just("GREET") | st.just({"name": "Ada"}))


@st.composite
def mutants(draw: Callable[..., Any]) -> bytes:
    """A good body with one piece cut out and another put in."""
    start, length = draw(st.integers(0, len(GOOD))), draw(st.integers(0, 12))
    risky = st.sampled_from([b"\\ud800", b"1e999", b"\\u0000", b'"a":1,"a":2,', b"[", b"NaN"])
    piece: bytes = draw(st.binary(max_size=6) | risky)
    return GOOD[:start] + piece + GOOD[start + length :]


async def check(api: Api, body: bytes) -> None:
    before = await api.rows()
    answer = await api.client.post("/jobs", content=body, headers={"Content-Type": "application/json"})
    if answer.status_code == 201:
        stored = await api.client.get(f"{answer.headers['location']}?include=payload")
        assert stored.json()["payload"] == json.loads(body)["payload"]
        before += 1
    else:
        assert answer.status_code == 400
        assert answer.json()["errors"]
    assert await api.rows() == before


def test_any_body_is_stored_equal_or_refused(tmp_path: Path, rung_settings: dict[str, str]) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        api = runner.run(stack.enter_async_context(open_api(tmp_path, rung_settings)))

        @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.binary(max_size=64) | mutants() | documents.map(lambda document: json.dumps(document).encode()))
        @example(GOOD)
        def holds(body: bytes) -> None:
            runner.run(check(api, body))

        holds()
        runner.run(stack.aclose())
