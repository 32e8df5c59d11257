"""The admin page on the real store, called in process."""

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

from tests.builders import a_new_job, a_submission, a_worker, an_attempt_error
from treadle.admin.app import routes
from treadle.admin.pulse import Pulse
from treadle.api.app import create_app
from treadle.ids import JobId, WorkerId
from treadle.jobtype import Registry
from treadle.service.browse import Watcher
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter
from treadle.states import Status, Verb
from treadle.store.protocol import ClaimRequest, Move
from treadle.testing import open_test_runtime
from treadle.web.guards import Guards
from treadle.web.throttle import Throttle


class Anything(msgspec.Struct):
    """A payload that takes what comes."""

    value: Any = None


def registry() -> Registry:
    types = Registry()

    @types.job("TEST")
    async def test(payload: Anything) -> None: ...

    return types


@dataclass
class Admin:
    """A client in front of the page, and hands on the store behind it."""

    client: httpx.AsyncClient
    runtime: Runtime
    pulse: Pulse
    app: ASGIApp

    async def text(self, path: str, status: int = 200) -> str:
        """The page."""
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        return answer.text

    async def job(self, **members: Any) -> JobId:
        """A job that waits; ``members``: of ``a_new_job``."""
        job = a_new_job(**members)
        await self.runtime.store.insert([a_submission(job)], self.runtime.clock.now())
        self.pulse.expire()
        return job.id

    async def worker(self, **members: Any) -> WorkerId:
        """The lease of a live worker."""
        worker = a_worker(started_at=self.runtime.clock.now(), beat_at=self.runtime.clock.now(), **members)
        await self.runtime.store.register_worker(worker)
        self.pulse.expire()
        return worker.id

    async def claimed(self, worker_id: WorkerId, **members: Any) -> JobId:
        """A job that runs."""
        job_id = await self.job(**members)
        request = ClaimRequest(worker_id=worker_id, limit=1, types=[members.get("type", "TEST")], ids=[job_id])
        [claimed] = await self.runtime.store.claim(request, self.runtime.clock.now())
        return claimed.id

    async def ended(self, verb: Verb, error: str | None = None, **members: Any) -> JobId:
        """A job whose first attempt ended by ``verb``."""
        settling = {name: members.pop(name) for name in ("result", "artifacts", "run_at") if name in members}
        job_id = await self.claimed(await self.worker(), **members)
        failure = None if error is None else an_attempt_error(message=error, traceback="Traceback: " + error)
        move = Move(job_id=job_id, attempt=1, verb=verb, error=error, failure=failure, **settling)
        await self.runtime.store.settle([move], self.runtime.clock.now())
        self.pulse.expire()
        return job_id

    async def failed(self, error: str = "it broke", **members: Any) -> JobId:
        """A job that failed for good."""
        return await self.ended(Verb.FAIL, error, **members)

    async def status(self, job_id: JobId) -> Status:
        """Where the job stands."""
        return (await self.runtime.store.statuses([job_id]))[job_id]


NewAdmin = Callable[..., Any]


@asynccontextmanager
async def open_admin(folder: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Admin]:
    async with open_test_runtime(registry(), settings, folder=folder, has_worker=False) as runtime:
        submitter, watcher, pulse = Submitter(runtime), Watcher(runtime), Pulse(runtime)
        guards = Guards(runtime.settings, Throttle(runtime.clock.rising))
        app = create_app(runtime, submitter, watcher, guards, beside=routes(runtime, pulse, guards))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:3000") as client:
            yield Admin(client, runtime, pulse, app)
        await pulse.stop()
        await watcher.aclose()
        await submitter.aclose()


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    """Without a login."""
    async with open_admin(tmp_path) as opened:
        yield opened


@pytest.fixture
async def new_admin(tmp_path: Path) -> AsyncIterator[NewAdmin]:
    """Opens one with settings."""
    async with AsyncExitStack() as stack:

        async def make(settings: Mapping[str, str]) -> Admin:
            return await stack.enter_async_context(open_admin(tmp_path, settings))

        yield make
