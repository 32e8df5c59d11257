"""A connection that is cut after any byte of an exchange: what the store then says is true, and sending again is once.

``done`` is there; ``Unavailable`` is not; after ``OutcomeUnknown`` the same batch is sent again, and has the effect
of once, whether the first one arrived or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from tests.builders import NOW, a_key, a_submission, a_worker, an_attempt_error
from tests.conformance.steps import at, claim, errors_of, inserted, move, read, started
from tests.postgres.conftest import Beside, NewStore
from tests.waiting import eventually
from treadle.errors import OutcomeUnknown, Unavailable
from treadle.ids import WorkerId
from treadle.states import Status, Verb
from treadle.store.postgres.store import PostgresStore
from treadle.store.protocol import Inserted, Replayed
from treadle.testing import FaultProxy
from treadle.testing.proxy import Way

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


@dataclass
class Exchange:
    """One call, which may be sent again; whether it has had its effect; and that this is an effect of once."""

    send: Callable[[PostgresStore], Awaitable[Any]]
    is_done: Callable[[], Awaitable[bool]]
    is_once: Callable[[], Awaitable[bool]]


Prepare = Callable[[PostgresStore, WorkerId], Awaitable[Exchange]]


async def _an_insert(witness: PostgresStore, worker_id: WorkerId) -> Exchange:
    unit = a_submission()
    job_id = unit.jobs[0].id

    async def send(store: PostgresStore) -> None:
        assert await store.insert([unit], NOW) == [Inserted((job_id,))]

    async def is_done() -> bool:
        return job_id in await witness.statuses([job_id])

    async def is_once() -> bool:
        return (await read(witness, job_id)).status is Status.QUEUED

    return Exchange(send, is_done, is_once)


async def _a_keyed_insert(witness: PostgresStore, worker_id: WorkerId) -> Exchange:
    unit = a_submission()
    job_id = unit.jobs[0].id
    key = a_key(key=job_id)

    async def send(store: PostgresStore) -> None:
        assert await store.insert([a_submission(*unit.jobs, key=key)], NOW) == [Inserted((job_id,))]

    async def is_done() -> bool:
        return job_id in await witness.statuses([job_id])

    async def is_once() -> bool:
        other = a_submission(key=key)
        answers = await witness.insert([other], NOW)
        return answers == [Replayed((job_id,))] and not await witness.statuses([other.jobs[0].id])

    return Exchange(send, is_done, is_once)


async def _a_claim(witness: PostgresStore, worker_id: WorkerId) -> Exchange:
    job_id = await inserted(witness)

    async def send(store: PostgresStore) -> None:
        # Nobody sends a claim again: what it did not hear of is told by its next beat, and released.
        await claim(store, worker_id, job_id)

    async def is_done() -> bool:
        return (await witness.statuses([job_id]))[job_id] is Status.PROCESSING

    async def is_once() -> bool:
        job = await read(witness, job_id)
        held = await witness.beat(worker_id, 1, NOW)
        return job.attempt == 1 and held is not None and job_id in {row.job_id for row in held}

    return Exchange(send, is_done, is_once)


async def _a_settle(witness: PostgresStore, worker_id: WorkerId) -> Exchange:
    job = await started(witness, worker_id)
    retry = move(job.id, 1, Verb.RETRY, failure=an_attempt_error())

    async def send(store: PostgresStore) -> None:
        [settled] = await store.settle([retry], at(1))
        assert settled.status is Status.RETRYING

    async def is_done() -> bool:
        return (await witness.statuses([job.id]))[job.id] is Status.RETRYING

    async def is_once() -> bool:
        stored = await read(witness, job.id)
        return (stored.failures, len(errors_of(stored)), stored.status) == (1, 1, Status.RETRYING)

    return Exchange(send, is_done, is_once)


EXCHANGES = {
    "insert": _an_insert,
    "keyed insert": _a_keyed_insert,
    "claim": _a_claim,
    "settle": _a_settle,
}


@pytest.fixture
async def witness(store: PostgresStore) -> PostgresStore:
    """A store that nothing stands before."""
    return store


async def backends_at_rest(connection: asyncpg.Connection) -> bool:
    """Whether no statement runs but the one that asks."""
    return bool(
        await connection.fetchval(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database()"
            " AND state <> 'idle' AND pid <> pg_backend_pid()"
        )
    )


async def outcome_of(exchange: Exchange, store: PostgresStore) -> str:
    try:
        await exchange.send(store)
    except OutcomeUnknown:
        return "unknown"
    except Unavailable:
        return "not done"
    return "done"


async def check(exchange: Exchange, outcome: str, store: PostgresStore) -> None:
    """Whether ``outcome`` was the truth; an unknown one becomes known."""
    if outcome == "unknown":
        await exchange.send(store)
    assert await exchange.is_done() is (outcome != "not done")
    assert outcome == "not done" or await exchange.is_once()


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("name", EXCHANGES)
async def test_after_any_byte_of_a_call(
    name: str,
    way: Way,
    witness: PostgresStore,
    worker_id: WorkerId,
    new_store: NewStore,
    behind_proxy: str,
    proxy: FaultProxy,
    beside: Beside,
) -> None:
    store = new_store(behind_proxy)
    await store.open(migrate=False)
    looking = await beside()
    outcomes: list[str] = []
    await (await EXCHANGES[name](witness, worker_id)).send(store)
    while "done" not in outcomes:
        # The connection knows the statement already: from the sending before, or from the one that checked a cut.
        exchange = await EXCHANGES[name](witness, worker_id)
        proxy.cut_after(proxy.passed_bytes(way) + len(outcomes), way)

        outcomes.append(await outcome_of(exchange, store))

        proxy.heal()
        await eventually(lambda: backends_at_rest(looking))
        await check(exchange, outcomes[-1], store)
    assert set(outcomes[:-1]) == {"unknown"}
    assert len(outcomes) > 20  # it went through at last because the cut was behind its last byte


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("name", EXCHANGES)
async def test_on_a_connection_that_is_new(
    name: str,
    way: Way,
    witness: PostgresStore,
    worker_id: WorkerId,
    new_store: NewStore,
    behind_proxy: str,
    proxy: FaultProxy,
    beside: Beside,
) -> None:
    looking = await beside()
    outcomes: list[str] = []
    cut_after = 0
    while not outcomes or outcomes[-1] != "done":
        store = new_store(f"{behind_proxy}?sslmode=disable")  # else the driver connects twice
        await store.open(migrate=False)
        exchange = await EXCHANGES[name](witness, worker_id)
        await eventually(lambda: proxy.open_connections == 0)  # that of the opening is not to be met
        proxy.cut_after(cut_after, way)

        outcomes.append(await outcome_of(exchange, store))

        proxy.heal()
        await eventually(lambda: backends_at_rest(looking))
        await check(exchange, outcomes[-1], store)
        await store.aclose()
        cut_after += 61  # logging in and asking for types is kilobytes; a prime, so that no message hides
    assert {"not done", "unknown", "done"} == set(outcomes)


async def test_a_worker_is_told_of_a_claim_it_never_heard_of(
    witness: PostgresStore, new_store: NewStore, behind_proxy: str, proxy: FaultProxy
) -> None:
    store = new_store(behind_proxy)
    await store.open(migrate=False)
    worker = a_worker()
    await witness.register_worker(worker)
    first, job_id = await inserted(store), await inserted(store)
    await claim(store, worker.id, first)
    proxy.cut_after(proxy.passed_bytes("down"), "down")

    with pytest.raises(OutcomeUnknown):
        await claim(store, worker.id, job_id)

    async def is_told() -> bool:
        held = await witness.beat(worker.id, 1, NOW)
        return held is not None and {row.job_id for row in held} == {first, job_id}

    await eventually(is_told)
