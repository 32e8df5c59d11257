"""The installation that the settings name: its database and its Redis, with processes of our own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory

import msgspec

from treadle.assemble import inspect_store, open_store, read_engine, sqlite_file
from treadle.cli.measure.connection import Connection, Target
from treadle.cli.measure.hints import read_redis
from treadle.cli.measure.load import phase_of
from treadle.cli.measure.noop import TYPE
from treadle.cli.measure.place import Place, Worker, own_folder
from treadle.cli.measure.report import Facts, Phase, Report, cpus_here
from treadle.cli.measure.screen import Screen, Tell
from treadle.cli.measure.submission import ids_in, measure_submission
from treadle.clock import Clock, rising_seconds
from treadle.errors import TreadleError, Unavailable
from treadle.ids import JobId
from treadle.settings import Settings
from treadle.states import FINAL, Status
from treadle.store.protocol import Store

JOB = b'{"type":"%s","payload":{}}' % TYPE.encode()
PING = b'{"type":"%s","payload":{"tells":true}}' % TYPE.encode()
PINGS = 200
PING_SECONDS = 10.0
"""Without hints between processes a start takes up to seconds: so long at most, and ``LEAST_PINGS`` at least."""
LEAST_PINGS = 5
PING_GAP_SECONDS = (0.02, 0.08)
LOOKED_AT_ONCE = 2_000
LOOK_SECONDS = 0.05
LAST_LOOK_SECONDS = 0.005
"""Between two looks for the end, when it is near."""
STANDSTILL_SECONDS = 60.0
FIRST_JOBS = 100
"""Among so many of the oldest is the one that started first."""


class _Ping(msgspec.Struct, rename="camel"):
    started_at: float


class _Job(msgspec.Struct):
    status: Status
    result: _Ping | None = None


async def measure_own(settings: Settings, jobs: int, slots: int, screen: Screen) -> Report:
    """Raises ``Conflict`` where the queue is not free, ``StoreRefused``, ``Unavailable``, ``NotUp``."""
    async with own_folder() as folder, _database(settings) as named, inspect_store(named) as (store, clock):
        place = Place(named, store, clock, folder, slots)
        await place.take()
        facts = await _facts(named, slots)
        answers: list[bytes] = []
        try:
            async with place.api():
                target = Target(place.url)
                phases = await measure_submission(target, JOB, jobs, answers, screen)
                async with place.worker() as worker:
                    drain = Drain(store, clock, worker)
                    phases.append(await drain.measure(ids_in(answers), screen))
                    phases.append(await _measure_latency(target, answers, worker, screen))
        finally:
            ids = ids_in(answers)
            with screen.phase("delete them", len(ids)) as tell:
                await place.clear(ids, tell)
    return Report(facts=facts, phases=phases)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Settings]:
    """Settings that name a database which is there: where none is yet, a new file on the same disk, gone afterwards."""
    file = sqlite_file(settings)
    if file is None or file.exists():
        yield settings
        return
    disk = next(folder for folder in file.absolute().parents if folder.is_dir())
    with TemporaryDirectory(prefix=".treadle-bench-", dir=disk) as folder:
        fresh = msgspec.structs.replace(settings, database_url=f"sqlite:///{folder}/treadle.db", migrate="on")
        await (await open_store(fresh)).aclose()
        yield fresh


async def _facts(settings: Settings, slots: int) -> Facts:
    engine = await read_engine(settings)
    redis, redis_round_trip_ms = (None, None) if settings.redis_url is None else await read_redis(settings.redis_url)
    return Facts(
        database=engine.name,
        durability=engine.durability,
        database_round_trip_ms=engine.round_trip_ms,
        flush_ms=engine.flush_ms,
        redis=redis,
        redis_round_trip_ms=redis_round_trip_ms,
        slots=slots,
        cpus=cpus_here(),
    )


class Drain:
    """Looks on while a worker works jobs off. The oldest come first, so only a window of them is looked at."""

    def __init__(self, store: Store, clock: Clock, worker: Worker) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker

    async def measure(self, ids: list[JobId], screen: Screen) -> Phase:
        """From the first start to the moment at which the last commit is seen. Raises ``NotUp``, ``Unavailable``."""
        cpu_seconds, begun_at = time.process_time(), rising_seconds()
        with screen.phase("drain", len(ids)) as tell:
            await self._watch(ids, tell)
        ended_at = self._clock.now()
        own_cpu = (time.process_time() - cpu_seconds) / (rising_seconds() - begun_at)
        first = await self._store.get(ids[:FIRST_JOBS])
        starts = [job.started_at for job in first.values() if job.started_at is not None]
        if not starts:
            raise TreadleError("somebody else has deleted the jobs of this measurement")
        seconds = (ended_at - min(starts)).total_seconds()
        return Phase(name="drain", jobs=len(ids), seconds=seconds, jobs_per_second=len(ids) / seconds, own_cpu=own_cpu)

    async def _watch(self, ids: list[JobId], tell: Tell) -> None:
        window: list[JobId] = []
        cursor, done = 0, 0
        moved_at = rising_seconds()
        while window or cursor < len(ids):
            room = LOOKED_AT_ONCE - len(window)
            window += ids[cursor : cursor + room]
            cursor = min(len(ids), cursor + room)
            found = await self._store.statuses(window)
            window = [job_id for job_id in window if found.get(job_id, Status.COMPLETED) not in FINAL]
            if cursor - len(window) > done:
                done, moved_at = cursor - len(window), rising_seconds()
                tell(done)
                if len(window) < LOOKED_AT_ONCE // 2 and cursor < len(ids):
                    continue
            elif rising_seconds() - moved_at > STANDSTILL_SECONDS:
                raise Unavailable(f"no job has ended for {STANDSTILL_SECONDS:g} seconds; {len(ids) - done} are left")
            self._worker.check()
            await asyncio.sleep(LAST_LOOK_SECONDS if cursor == len(ids) else LOOK_SECONDS)


async def _measure_latency(target: Target, answers: list[bytes], worker: Worker, screen: Screen) -> Phase:
    """From before ``POST`` to the handler's first line, with nothing else to do."""
    line = Connection(target)
    taken_seconds: list[float] = []
    cpu_seconds, begun_at = time.process_time(), rising_seconds()
    request = target.request("POST", "/jobs", PING)
    with screen.phase("idle latency", PINGS) as tell:
        try:
            while len(taken_seconds) < PINGS:
                if len(taken_seconds) >= LEAST_PINGS and rising_seconds() - begun_at > PING_SECONDS:
                    break
                await asyncio.sleep(random.uniform(*PING_GAP_SECONDS))
                sent_at = rising_seconds()
                answers.append((await line.exchange(request)).body)
                taken_seconds.append(await _started_at(target, line, worker, answers[-1]) - sent_at)
                tell(len(taken_seconds))
        finally:
            line.close()
    seconds = rising_seconds() - begun_at
    phase = phase_of("idle latency", (taken_seconds, seconds, (time.process_time() - cpu_seconds) / seconds))
    return msgspec.structs.replace(phase, jobs_per_second=None)  # most of the time is pauses


async def _started_at(target: Target, line: Connection, worker: Worker, answer: bytes) -> float:
    [job_id] = ids_in([answer])
    give_up_at = rising_seconds() + STANDSTILL_SECONDS
    while rising_seconds() < give_up_at:
        worker.check()
        told = await line.exchange(target.request("GET", f"/jobs/{job_id}?wait=10"))
        job = msgspec.json.decode(told.body, type=_Job)
        if job.result is not None:
            return job.result.started_at
        if job.status in FINAL:
            break
    raise Unavailable("a job of this measurement did not come back completed")
