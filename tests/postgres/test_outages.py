"""Outages: the server restarts, throws connections out, hangs, or the way to it does. The store heals by itself."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import asyncpg
import pytest

from tests.builders import NOW, a_submission, a_worker
from tests.conformance.steps import at, claim, inserted, move, read, scan, started, statuses
from tests.postgres.conftest import Beside, NewStore
from tests.servers.postgres import Postgres
from tests.waiting import eventually, loop_turns
from treadle.errors import OutcomeUnknown, Unavailable
from treadle.ids import JobId, WorkerId, new_job_id
from treadle.states import Status, Verb
from treadle.store.postgres import connection
from treadle.store.postgres.store import PostgresStore
from treadle.store.protocol import Inserted, Move
from treadle.testing import FaultProxy


async def answers(store: PostgresStore) -> bool:
    try:
        await store.ping()
    except Unavailable:
        return False
    return True


class Traffic:
    """Submissions, claims and settles without a pause; what was acknowledged is written down."""

    def __init__(self, store: PostgresStore, worker_id: WorkerId) -> None:
        self._store = store
        self._worker_id = worker_id
        self.acknowledged: list[JobId] = []
        self.completed: list[JobId] = []
        self.failures = 0
        self._stopping = False
        self._tasks = [asyncio.create_task(loop()) for loop in (self._submit, self._submit, self._work)]

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _submit(self) -> None:
        while not self._stopping:
            unit = a_submission()
            while True:
                try:
                    assert await self._store.insert([unit], NOW) == [Inserted((unit.jobs[0].id,))]
                    break
                except Unavailable:
                    self.failures += 1
                    await loop_turns(1)
            self.acknowledged.append(unit.jobs[0].id)

    async def _work(self) -> None:
        while not self._stopping:
            try:
                jobs = await scan(self._store, self._worker_id, limit=20)
            except Unavailable:
                self.failures += 1
                await loop_turns(1)
                continue
            await self._settle([move(job.id, job.attempt, Verb.COMPLETE) for job in jobs])

    async def _settle(self, moves: list[Move]) -> None:
        while True:
            try:
                settled = await self._store.settle(moves, at(1))
            except Unavailable:
                self.failures += 1
                await loop_turns(1)
            else:
                assert {done.status for done in settled} <= {Status.COMPLETED}
                self.completed += [done.job_id for done in settled]
                return


async def check(traffic: Traffic, store: PostgresStore, worker_id: WorkerId) -> None:
    """Nothing acknowledged is lost; what a cut claim left with the worker is told by a beat."""
    found = await store.get(traffic.acknowledged)
    assert set(found) == set(traffic.acknowledged)
    held = await store.beat(worker_id, 0, at(2)) or []
    running = {job.id for job in found.values() if job.status is Status.PROCESSING}
    assert running <= {row.job_id for row in held}
    done = await store.get(traffic.completed)
    assert {(job.status, job.attempt) for job in done.values()} <= {(Status.COMPLETED, 1)}
    assert set(done) == set(traffic.completed)


async def test_a_crash_of_the_server_under_load_loses_nothing_that_was_acknowledged(
    server: Postgres, store: PostgresStore, worker_id: WorkerId
) -> None:
    traffic = Traffic(store, worker_id)
    await eventually(lambda: len(traffic.completed) > 50)

    for _ in range(2):
        before = len(traffic.completed)
        await asyncio.to_thread(server.restart)
        await eventually(lambda: len(traffic.completed) > before + 50, within_seconds=30)  # noqa: B023

    await traffic.stop()
    assert traffic.failures
    await check(traffic, store, worker_id)


async def test_connections_that_are_thrown_out_again_and_again_cost_nothing_but_time(
    server: Postgres, address: str, store: PostgresStore, worker_id: WorkerId
) -> None:
    traffic = Traffic(store, worker_id)

    def throw_one_out() -> None:
        with server.admin() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND application_name = 'treadle' ORDER BY random() LIMIT 1",
                (address.rpartition("/")[2],),
            )

    for _ in range(40):
        before = len(traffic.completed)
        await asyncio.to_thread(throw_one_out)
        await eventually(lambda: len(traffic.completed) > before, within_seconds=30)  # noqa: B023

    await traffic.stop()
    assert traffic.failures
    await check(traffic, store, worker_id)


async def test_a_server_that_is_down_is_unavailable_at_once_and_used_again_when_it_is_back(
    store: PostgresStore,
    new_store: NewStore,
    behind_proxy: str,
    proxy: FaultProxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reaching = new_store(behind_proxy)
    await reaching.open(migrate=False)
    job_id = await inserted(reaching)
    await proxy.refuse()
    with pytest.raises(Unavailable):
        await eventually(lambda: _raises_no_unknown_outcome(reaching))
    with pytest.raises(Unavailable) as caught:
        await reaching.statuses([job_id])
    assert "127.0.0.1" not in str(caught.value)  # a client may read this
    assert "127.0.0.1" in caplog.text

    await proxy.start()

    await eventually(lambda: answers(reaching))
    assert await statuses(reaching, [job_id]) == ["queued"]


async def _raises_no_unknown_outcome(store: PostgresStore) -> bool:
    try:
        await store.insert([a_submission()], NOW)
    except OutcomeUnknown:
        return False  # sent on a connection whose end had not been heard of yet
    return True


async def test_a_way_that_goes_silent_is_given_up_in_time(
    store: PostgresStore,
    new_store: NewStore,
    behind_proxy: str,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    reaching = new_store(behind_proxy)
    await reaching.open(migrate=False)
    await asyncio.gather(*(reaching.ping() for _ in range(5)))
    unit = a_submission()
    proxy.silence()

    with pytest.raises(OutcomeUnknown):
        await reaching.insert([unit], NOW)
    # The idle connections lead to the same dead end: none of them is tried, and none costs its own wait.
    with pytest.raises(Unavailable) as caught:
        await reaching.insert([unit], NOW)
    assert not isinstance(caught.value, OutcomeUnknown)

    proxy.heal()
    await eventually(lambda: answers(reaching))
    assert await reaching.insert([unit], NOW) == [Inserted((unit.jobs[0].id,))]
    assert (await read(store, unit.jobs[0].id)).status is Status.QUEUED


async def test_a_beat_that_is_not_answered_is_given_up_before_the_lease_is(
    new_store: NewStore, store: PostgresStore, behind_proxy: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LEASE_ANSWER_SECONDS", 0.2)
    reaching = new_store(behind_proxy)
    await reaching.open(migrate=False)
    worker = a_worker()
    await reaching.register_worker(worker)
    proxy.silence()

    with pytest.raises(OutcomeUnknown):
        await reaching.beat(worker.id, 0, at(1))

    proxy.heal()
    assert await reaching.beat(worker.id, 0, at(2)) == []


async def test_a_server_that_hangs_in_the_middle_is_given_up_and_found_again(
    server: Postgres, store: PostgresStore, worker_id: WorkerId, monkeypatch: pytest.MonkeyPatch, beside: Beside
) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    job_id = await inserted(store)
    backend = await _backend_of_the_store(await beside())
    backend.stop()
    try:
        with pytest.raises(OutcomeUnknown):
            await claim(store, worker_id, job_id)
    finally:
        backend.go_on()

    await eventually(lambda: answers(store))
    # Sent and not heard of: claimed or not, one beat tells.
    held = [row.job_id for row in await store.beat(worker_id, 0, at(1)) or []]
    assert await statuses(store, [job_id]) == (["processing"] if held else ["queued"])


class _Backend:
    """One server process of the store's."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def stop(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)


async def _backend_of_the_store(looking: asyncpg.Connection) -> _Backend:
    pids = await looking.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'treadle'"
        " AND query LIKE '%INSERT INTO jobs%' AND pid <> pg_backend_pid()"
    )
    return _Backend(pids[0]["pid"])


async def test_a_settle_whose_second_question_fails_is_not_said_to_be_undone(
    store: PostgresStore, worker_id: WorkerId, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await started(store, worker_id)
    moves = [move(job.id, 1, Verb.COMPLETE), move(new_job_id(), 1, Verb.COMPLETE)]  # the second one is refused

    async def fail(*_: object) -> None:
        raise Unavailable("no")

    with monkeypatch.context() as failing:
        failing.setattr(store._connections, "read", fail)
        with pytest.raises(OutcomeUnknown):
            await store.settle(moves, at(1))

    assert [done.status for done in await store.settle(moves, at(1))] == [Status.COMPLETED, None]


async def test_a_database_that_is_gone_while_it_is_used_is_unavailable_and_not_refused(
    server: Postgres, address: str, store: PostgresStore
) -> None:
    name = address.rpartition("/")[2]
    await store.ping()
    with server.admin() as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
    try:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await store.ping()
    finally:
        with server.admin() as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())

    await eventually(lambda: answers(store))


async def test_a_closed_store_has_no_connection_left(
    store: PostgresStore, beside: Beside, worker_id: WorkerId, caplog: pytest.LogCaptureFixture
) -> None:
    looking = await beside()
    await asyncio.gather(*(inserted(store) for _ in range(10)))

    await store.aclose()

    async def none_is_left() -> bool:
        count: int = await looking.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'treadle'"
        )
        return count == 0

    await eventually(none_is_left)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
