"""Neighbours in the database: locks, deadlocks, full connections. Waits are bounded, and what is lost is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.builders import NOW, a_key, a_new_job, a_submission, a_worker
from tests.conformance.steps import WAYS, at, claim, insert, inserted, move, operate, read, scan, started, statuses
from tests.postgres.conftest import Beside, NewStore
from tests.waiting import eventually, loop_turns
from treadle.errors import Unavailable
from treadle.ids import WorkerId
from treadle.states import Status, Verb
from treadle.store.postgres import lane
from treadle.store.postgres.connection import LANE_CONNECTIONS
from treadle.store.postgres.store import PostgresStore
from treadle.store.protocol import Inserted


@pytest.fixture
async def holding(beside: Beside) -> AsyncIterator[asyncpg.Connection]:
    """A neighbour's transaction, which ends with the test at the latest."""
    connection = await beside()
    transaction = connection.transaction()
    await transaction.start()
    yield connection


async def waits(connection: asyncpg.Connection, count: int = 1) -> bool:
    """Whether so many of the store's statements wait for a lock."""
    waiting: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return waiting >= count


async def test_a_table_that_somebody_locks_is_unavailable_and_nothing_is_done(
    store: PostgresStore, holding: asyncpg.Connection
) -> None:
    await holding.execute("LOCK TABLE jobs")
    unit = a_submission()

    with pytest.raises(Unavailable, match="55P03"):
        await store.insert([unit], NOW)

    await holding.execute("ROLLBACK")
    assert await store.statuses([unit.jobs[0].id]) == {}
    assert await store.insert([unit], NOW) == [Inserted((unit.jobs[0].id,))]


async def test_a_key_that_is_being_committed_elsewhere_is_not_waited_for_long(
    store: PostgresStore, holding: asyncpg.Connection
) -> None:
    await holding.execute(
        "INSERT INTO idempotency_keys VALUES ('', 'order-1', '\\x01', '{}', timestamptz '2027-01-01')"
    )
    keyed = a_submission(key=a_key())
    other = a_submission(key=a_key(key="order-2"))

    refused, taken = await asyncio.gather(
        store.insert([keyed], NOW), store.insert([other], NOW), return_exceptions=True
    )

    assert isinstance(refused, Unavailable)
    assert "55P03" in str(refused)
    assert taken == [Inserted((other.jobs[0].id,))]
    assert await store.statuses([keyed.jobs[0].id]) == {}


async def test_a_deadlock_is_repeated_and_nobody_hears_of_it(
    store: PostgresStore, worker_id: WorkerId, address: str, beside: Beside
) -> None:
    first, second = sorted([(await started(store, worker_id)).id for _ in range(2)])
    looking = await beside()
    neighbour = await asyncpg.connect(address.replace("treadle@", "postgres@"))
    await neighbour.execute("SET deadlock_timeout = '1min'")  # so that it is the store who is thrown out
    await neighbour.execute("BEGIN")
    await neighbour.execute(f"SELECT id FROM jobs WHERE id = '{second}' FOR UPDATE")

    settling = asyncio.create_task(store.settle([move(job_id, 1, Verb.COMPLETE) for job_id in (second, first)], at(1)))
    await eventually(lambda: waits(looking))
    await neighbour.execute(f"SELECT id FROM jobs WHERE id = '{first}' FOR UPDATE")
    assert not settling.done()  # the neighbour has both rows: the store has let go of its own, and tries again
    await neighbour.execute("ROLLBACK")

    assert [done.status for done in await settling] == [Status.COMPLETED] * 2
    await neighbour.close()


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
@pytest.mark.parametrize(("failures", "comes_through"), [(1, True), (3, True), (4, False)])
async def test_what_was_rolled_back_for_a_neighbour_is_sent_again_three_times(
    store: PostgresStore, beside: Beside, sqlstate: str, failures: int, comes_through: bool
) -> None:
    connection = await beside()
    # A sequence counts sendings, rolled back or not.
    await connection.execute("CREATE SEQUENCE sendings")
    await connection.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('sendings') <= {failures} THEN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END IF;"
        " RETURN new; END $$"
    )
    await connection.execute("CREATE TRIGGER fail BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION fail()")
    unit = a_submission()

    if comes_through:
        assert await store.insert([unit], NOW) == [Inserted((unit.jobs[0].id,))]
    else:
        with pytest.raises(Unavailable, match=sqlstate):
            await store.insert([unit], NOW)

    assert await connection.fetchval("SELECT last_value FROM sendings") == min(failures + 1, 4)
    assert (unit.jobs[0].id in await store.statuses([unit.jobs[0].id])) is comes_through


async def test_bulk_operations_and_settles_in_opposite_orders_all_come_through(
    store: PostgresStore, new_store: NewStore, worker_id: WorkerId
) -> None:
    other = new_store()
    await other.open(migrate=False)
    for _ in range(10):
        ids = await insert(store, *(a_new_job() for _ in range(60)))
        await claim(store, worker_id, *ids)
        moves = [move(job_id, 1, Verb.RETRY) for job_id in ids]

        await asyncio.gather(
            store.settle(moves, at(1)),
            other.settle(moves[::-1], at(1)),
            other.operate(Verb.CANCEL, ids[::-1], at(1)),
            store.operate(Verb.CANCEL, ids, at(1)),
        )

        assert set(await statuses(store, ids)) == {"cancelled"}


async def test_a_row_that_a_neighbour_holds_is_passed_over_by_scans(
    store: PostgresStore, worker_id: WorkerId, holding: asyncpg.Connection
) -> None:
    held, free = sorted([await inserted(store), await inserted(store)])
    await holding.execute("SELECT id FROM jobs WHERE id = $1 FOR UPDATE", held)

    assert [job.id for job in await scan(store, worker_id)] == [free]

    await holding.execute("ROLLBACK")
    assert [job.id for job in await scan(store, worker_id)] == [held]


async def test_beats_go_on_while_everything_else_waits(
    store: PostgresStore, worker_id: WorkerId, holding: asyncpg.Connection, beside: Beside
) -> None:
    looking = await beside()
    await holding.execute("LOCK TABLE jobs IN EXCLUSIVE MODE")
    stuck = [asyncio.create_task(store.insert([a_submission()], NOW)) for _ in range(3 * LANE_CONNECTIONS)]
    await eventually(lambda: waits(looking, LANE_CONNECTIONS))

    assert await store.beat(worker_id, 0, at(1)) == []

    await holding.execute("ROLLBACK")
    await asyncio.gather(*stuck)


async def test_who_waits_too_long_for_a_connection_is_told_that_nothing_was_done(
    store: PostgresStore, holding: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, beside: Beside
) -> None:
    monkeypatch.setattr(lane, "WAIT_SECONDS", 0.05)
    looking = await beside()
    await holding.execute("LOCK TABLE jobs IN EXCLUSIVE MODE")
    stuck = [asyncio.create_task(store.insert([a_submission()], NOW)) for _ in range(LANE_CONNECTIONS)]
    await eventually(lambda: waits(looking, LANE_CONNECTIONS))
    unit = a_submission()

    with pytest.raises(Unavailable, match="busy"):
        await store.insert([unit], NOW)

    await holding.execute("ROLLBACK")
    await asyncio.gather(*stuck)
    assert await store.statuses([unit.jobs[0].id]) == {}


async def test_callers_that_go_away_leave_no_connection_behind(store: PostgresStore, beside: Beside) -> None:
    looking = await beside()
    job_id = await inserted(store)

    for number in range(300):
        call = asyncio.create_task(store.get([job_id]))
        await loop_turns(number % 7)
        call.cancel()

    assert (await read(store, job_id)).status is Status.QUEUED
    await asyncio.gather(*(store.get([job_id]) for _ in range(4 * LANE_CONNECTIONS)))
    states = await looking.fetch(
        "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'treadle'"
    )
    assert {row["state"] for row in states} == {"idle"}
    assert len(states) <= LANE_CONNECTIONS


async def test_a_caller_that_goes_away_does_not_take_its_write_back(store: PostgresStore) -> None:
    unit = a_submission()
    call = asyncio.create_task(store.insert([unit], NOW))
    await loop_turns(1)
    call.cancel()

    await eventually(lambda: store.statuses([unit.jobs[0].id]))


async def test_no_connection_left_on_the_server_is_unavailable_and_a_lease_lives_on(
    new_store: NewStore, address: str, beside: Beside, store: PostgresStore
) -> None:
    worker = a_worker()
    await store.register_worker(worker)
    neighbours: list[asyncpg.Connection] = []
    try:
        with pytest.raises(asyncpg.TooManyConnectionsError):
            while True:
                neighbours.append(await asyncpg.connect(address))

        with pytest.raises(Unavailable):
            await new_store().open(migrate=False)
        for second in range(3):
            assert await store.beat(worker.id, 0, at(second)) == []
    finally:
        for neighbour in neighbours:
            neighbour.terminate()

    await eventually(lambda: _opens(new_store()))


async def _opens(store: PostgresStore) -> bool:
    try:
        await store.open(migrate=False)
    except Unavailable:
        return False
    return True


async def test_an_operators_cancel_waits_for_a_claim_and_then_asks_the_worker(
    store: PostgresStore, worker_id: WorkerId, holding: asyncpg.Connection, beside: Beside
) -> None:
    job_id = await inserted(store)
    looking = await beside()
    await holding.execute(
        "UPDATE jobs SET status = 'processing', attempts = 1, worker_id = $2 WHERE id = $1", job_id, worker_id
    )

    cancelling = asyncio.create_task(operate(store, Verb.CANCEL, job_id))
    await eventually(lambda: waits(looking))
    await holding.execute("COMMIT")

    operated = await cancelling
    assert (operated.before, operated.after) == (Status.PROCESSING, Status.PROCESSING)
    assert (await read(store, job_id)).cancel_requested


@pytest.mark.parametrize("act", ["delete", "erase"])
async def test_a_job_that_is_requeued_meanwhile_is_neither_deleted_nor_erased(
    store: PostgresStore, worker_id: WorkerId, holding: asyncpg.Connection, beside: Beside, act: str
) -> None:
    job_id = await WAYS["failed"](store, worker_id)
    looking = await beside()
    await holding.execute(
        "UPDATE jobs SET status = 'queued', queued_at = now(), finished_at = NULL WHERE id = $1", job_id
    )

    acting = asyncio.create_task(store.delete([job_id]) if act == "delete" else store.erase([job_id], at(9)))
    await eventually(lambda: waits(looking))
    await holding.execute("COMMIT")

    [operated] = await acting
    assert (operated.before, operated.after) == (Status.QUEUED, None)
    job = await read(store, job_id)
    assert (job.status, job.erased_at, job.payload) == (Status.QUEUED, None, b'{"n":1}')
