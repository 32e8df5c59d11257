"""The real application on the real store, called in process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.types import ASGIApp

from tests.api.listening import Connect, serving
from treadle.api.app import create_app, doors
from treadle.jobtype import Registry
from treadle.service.browse import Watcher
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter
from treadle.testing import open_test_runtime
from treadle.web.doors import Door
from treadle.web.guards import Guards
from treadle.web.throttle import Throttle


class Greeting(msgspec.Struct, forbid_unknown_fields=True):
    """A payload with one needed and one typed member."""

    name: str
    times: int = 1


def registry() -> Registry:
    types = Registry()

    @types.job("GREET", queue="greetings")
    async def greet(payload: Greeting) -> str:
        return payload.name * payload.times

    return types


@dataclass
class Api:
    """A client, and what stands behind it."""

    client: httpx.AsyncClient
    runtime: Runtime
    doors: tuple[Door, ...]
    app: ASGIApp
    watcher: Watcher

    async def submit(self, **members: Any) -> str:
        answer = await self.client.post("/jobs", json={"type": "GREET", "payload": {"name": "Ada"}, **members})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["jobId"])

    async def rows(self) -> int:
        return sum((await self.runtime.store.counts()).values())


NewApi = Callable[..., Any]


@asynccontextmanager
async def open_api(folder: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Api]:
    async with open_test_runtime(registry(), settings, folder=folder, has_worker=False) as runtime:
        submitter, watcher = Submitter(runtime), Watcher(runtime)
        app = create_app(runtime, submitter, watcher, Guards(runtime.settings, Throttle(runtime.clock.rising)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:3000") as client:
            yield Api(client, runtime, tuple(doors(runtime, submitter, watcher)), app, watcher)
        await watcher.aclose()
        await submitter.aclose()


@pytest.fixture
async def api(tmp_path: Path, rung_settings: dict[str, str]) -> AsyncIterator[Api]:
    """Without keys and login."""
    async with open_api(tmp_path, rung_settings) as opened:
        yield opened


@pytest.fixture
async def new_api(tmp_path: Path, rung_settings: dict[str, str]) -> AsyncIterator[NewApi]:
    """Opens one with settings. Two of one test share its database, as two processes do."""
    async with AsyncExitStack() as stack:

        async def make(settings: Mapping[str, str]) -> Api:
            return await stack.enter_async_context(open_api(tmp_path, {**rung_settings, **settings}))

        yield make


@pytest.fixture
async def connect(api: Api) -> AsyncIterator[Connect]:
    """Opens connections to the application behind the server it ships with."""
    async with serving(api.app) as open_one:
        yield open_one
