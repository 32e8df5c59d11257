"""``Harness``: an application under test. Jobs run when the test says so, in this process, and time moves when told.

Its methods are plain functions, for tests with and without a loop: a verdict that must be awaited can be forgotten.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from treadle.app import Treadle
from treadle.assemble import VERSION, load_apps, registry_of
from treadle.client.records import JobRecord
from treadle.errors import LeaseLost, NotFound, Unstorable
from treadle.ids import JobId, WorkerId, new_worker_id
from treadle.job import ClaimedJob, NewJob, StoredJob
from treadle.jobtype import Hook
from treadle.jsontext import to_storable
from treadle.loopthread import LoopThread
from treadle.service import browse, workers
from treadle.service.claim import claim
from treadle.service.promote import promote_due
from treadle.service.runtime import Runtime
from treadle.service.settle import End, Settler
from treadle.service.submit import Submitter
from treadle.settings import parse_settings
from treadle.states import Status
from treadle.store.protocol import Inserted, InsertResult, JobFilter, Note, Submission, WorkerRecord
from treadle.testing.clock import START, ManualClock
from treadle.testing.faults import FaultyStore
from treadle.testing.runtime import open_test_runtime
from treadle.wire import job_members
from treadle.worker.attempt import Attempt, Home
from treadle.worker.executor import Executor
from treadle.worker.handlers import HandlerLoop, HandlerThreads

MAX_ATTEMPTS = 1000
MAX_SHOWN_CHARACTERS = 300
_ANY = object()
_HOOK_SECONDS = 30.0
_TRUE_BACKOFF = {"TREADLE_RETRY_BASE_SECONDS": "2"}
"""Time costs nothing here: pauses are as long as in production."""


class _RecordingStore(FaultyStore):
    """Also remembers what was inserted."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime.store)
        self.inserted: list[NewJob] = []

    async def insert(self, units: Sequence[Submission], now: datetime) -> list[InsertResult]:
        """See ``Store.insert``."""
        results = await super().insert(units, now)
        for unit, result in zip(units, results, strict=True):
            if isinstance(result, Inserted):
                self.inserted += unit.jobs
        return results


class Harness:
    """``with Harness(app) as harness: ...``. Inside, ``app.submit`` and ``app.submit_sync`` go to it.

    The store is real SQLite in a temporary folder, files go there too; the process's environment is not read, and
    ``settings`` are given by their environment names. The built-in types are there, as in production. Isolated
    handlers run in this process. ``store`` takes faults to order (``FaultyStore``), ``clock`` is the time.
    """

    def __init__(self, app: Treadle, settings: Mapping[str, str] | None = None, *, now: datetime = START) -> None:
        self._app = app
        self._settings = {**_TRUE_BACKOFF, **(settings or {})}
        self.clock = ManualClock(now)
        self._stack = AsyncExitStack()
        self._worker_id: WorkerId = new_worker_id()

    def __enter__(self) -> Harness:
        self._loop = LoopThread("treadle-harness")
        try:
            self._loop.call(self._open())
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def store(self) -> FaultyStore:
        """The store, with faults to order."""
        return self._store

    @property
    def output(self) -> Path:
        """The folder of published files."""
        return self._runtime.artifacts.root

    def submit(self, type: str, payload: object, **members: Any) -> str:
        """``app.submit_sync``, from any thread and with a loop running or not."""
        return self._loop.call(self._app.submit(type, payload, **members))

    def drain(self, max_attempts: int = MAX_ATTEMPTS) -> int:
        """Run everything that is ready, one after another in ready order, and what that submits; how many attempts.

        Waits for nothing: a job that is scheduled or retrying stays where it is until ``advance``. Raises
        ``AssertionError`` where jobs are still ready after ``max_attempts``.
        """
        return self._loop.call(self._drain(max_attempts))

    def advance(self, by: float | timedelta) -> int:
        """Let time pass (seconds, or a timedelta), and make ready what is due by then; how many jobs. Runs none."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        return self._loop.call(self._advance(seconds))

    def job(self, job_id: str) -> JobRecord:
        """The job as it stands, its payload too. Raises ``NotFound``."""
        return _record(self._loop.call(browse.get(self._runtime, JobId(job_id), payload=True)))

    def jobs(self, type: str | None = None, status: str | None = None) -> list[JobRecord]:
        """All jobs, those of one type, those in one status: the oldest first, at most 1,000; without payloads."""
        wanted = JobFilter(type=type, statuses=None if status is None else (Status(status),))
        page = self._loop.call(browse.page(self._runtime, wanted, None, 1000))
        return [_record(job) for job in reversed(page.jobs)]

    def file(self, job_id: str) -> bytes:
        """The first file that the job's settled attempt published. Raises ``NotFound`` where there is none."""
        artifacts = self.job(job_id).artifacts
        if not artifacts:
            raise NotFound("this job has no file")
        return (self.output / artifacts[0].path).read_bytes()

    def assert_submitted(
        self,
        type: str,
        *,
        payload: object = _ANY,
        queue: str | None = None,
        priority: str | None = None,
        count: int | None = None,
    ) -> list[str]:
        """Fail unless such a job was submitted; the ids of those that fit, oldest first.

        ``payload``: equal as JSON (a type's model is compared in its JSON form), or a function of the decoded payload
        that says whether it fits. ``count``: exactly so many; ``None``: at least one; 0: none.
        """
        fits = _payload_rule(payload)
        of_type = [job for job in self._store.inserted if job.type == type]
        found = [
            job.id
            for job in of_type
            if fits(msgspec.json.decode(job.payload))
            and queue in (None, job.queue)
            and priority in (None, job.priority.label)
        ]
        if (not found) if count is None else len(found) != count:
            wanted = "at least one" if count is None else str(count)
            told = "\n".join(f"  {job.queue}, {job.priority.label}: {_shown(job.payload)}" for job in of_type[:20])
            heard = f"of this type were submitted:\n{told}" if of_type else "none of this type was submitted"
            raise AssertionError(f"expected {wanted} {type} that fits, found {len(found)}; {heard}")
        return [str(job_id) for job_id in found]

    async def _open(self) -> None:
        builtin = load_apps(parse_settings(self._settings))
        self._registry = registry_of([*builtin, self._app])
        opened = open_test_runtime(self._registry, self._settings, has_worker=False)
        self._runtime = await self._stack.enter_async_context(opened)
        self._runtime.clock = self.clock
        self._runtime.chance = random.Random(0)
        self._store = _RecordingStore(self._runtime)
        self._runtime.store = self._store
        submitter = Submitter(self._runtime)
        self._stack.push_async_callback(submitter.aclose)
        self._settler = Settler(self._runtime)
        self._handlers = HandlerLoop()
        self._handlers.start()
        self._stack.callback(self._handlers.stop)
        overrun_seconds = self._runtime.settings.overrun_seconds
        self._executor = Executor(self._registry, self._handlers, HandlerThreads(), overrun_seconds)
        await workers.register(self._runtime, self._worker())
        self._app.bind(submitter)
        for hook in self._registry.start_hooks:
            await self._hooked(hook)
        for hook in reversed(self._registry.stop_hooks):
            self._stack.push_async_callback(self._hooked, hook)

    def _close(self) -> None:
        try:
            self._loop.call(self._stack.aclose())
        finally:
            self._loop.stop()

    async def _hooked(self, hook: Hook) -> None:
        async def call() -> None:
            await hook()

        ended, _ = self._handlers.run(call())
        await asyncio.wait_for(asyncio.wrap_future(ended), _HOOK_SECONDS)

    def _worker(self) -> WorkerRecord:
        now = self.clock.now()
        return WorkerRecord(
            id=self._worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=VERSION,
            queues=(),
            concurrency=1,
            running=0,
            beat=0,
            started_at=now,
            beat_at=now,
            ended_at=None,
        )

    async def _drain(self, max_attempts: int) -> int:
        for ran in range(max_attempts + 1):
            jobs = await claim(self._runtime, self._worker_id, None, None, 1)
            if not jobs:
                return ran
            if ran == max_attempts:
                await self._settler.release(jobs[0].id, jobs[0].attempt)
                break
            await self._run(jobs[0])
        raise AssertionError(f"jobs are still ready after {max_attempts} attempts: does a handler submit its own kind?")

    async def _run(self, job: ClaimedJob) -> None:
        home = Home(self.clock, self._runtime.artifacts, lambda: math.inf, self._save_checkpoint)
        attempt = Attempt(job, self._worker_id, home, self.clock.rising())
        outcome = await self._executor.run(attempt)
        await self._settler.settle(End(job, outcome, self._worker_id, attempt.progress))

    async def _save_checkpoint(self, attempt: Attempt, checkpoint: bytes) -> None:
        if not await self._settler.note(Note(attempt.id, attempt.job.attempt, checkpoint=checkpoint)):
            raise LeaseLost("this attempt is past: another one counts now")

    async def _advance(self, seconds: float) -> int:
        self.clock.advance(seconds)
        promoted = 0
        while True:
            count, next_run_at = await promote_due(self._runtime)
            promoted += count
            if next_run_at is None or next_run_at > self.clock.now():
                return promoted


def _record(job: StoredJob) -> JobRecord:
    return msgspec.json.decode(msgspec.json.encode(job_members(job)), type=JobRecord)


def _payload_rule(payload: object) -> Callable[[Any], bool]:
    if payload is _ANY:
        return lambda _: True
    if callable(payload):
        return lambda told: bool(payload(told))
    try:
        wanted = msgspec.json.decode(to_storable(payload, max_bytes=1 << 30))
    except Unstorable as error:
        raise ValueError(f"no job can have this payload: {error}") from None
    return lambda told: bool(told == wanted)


def _shown(payload: bytes) -> str:
    text = payload.decode()
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "…"
