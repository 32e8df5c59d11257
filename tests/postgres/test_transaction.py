"""Jobs inside a user's own transaction: there if and only if it commits, and nobody waits for it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from tests.builders import a_submission
from tests.conformance.steps import a_worker_in, inserted
from tests.servers import running
from treadle import InvalidInput, Treadle
from treadle.ids import JobId, parse_job_id
from treadle.jobtype import JobType
from treadle.states import Status
from treadle.store.postgres.store import PostgresStore
from treadle.store.protocol import ClaimRequest, PublishedType

app = Treadle()


class Parcel(msgspec.Struct, forbid_unknown_fields=True):
    weight: int


@app.job("PARCEL", queue="parcels", timeout=30)
async def parcel(payload: Parcel) -> None:
    """Never run here."""


def of(jobtype: JobType, published_at: datetime) -> PublishedType:
    """What a process that knows the type has published."""
    return PublishedType(
        name=jobtype.name,
        queue=jobtype.queue,
        max_attempts=jobtype.retry.attempts,
        max_crashes=jobtype.retry.crashes,
        timeout_seconds=jobtype.timeout_seconds,
        backoff=jobtype.retry.backoff(),
        own_backoff=jobtype.retry.backoff(),
        schema=msgspec.json.encode(jobtype.model.json_schema()).decode(),
        published_at=published_at,
    )


@pytest.fixture
def address() -> Iterator[str]:
    with running.machine_postgres().database() as address:
        yield address


@pytest.fixture
async def store(address: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(address)
    await store.open(migrate=True)
    now = await present(store)
    await store.publish_types([of(jobtype, now) for jobtype in app], now)
    await store.declare_queues(["default", "parcels"])
    yield store
    await store.aclose()


@pytest.fixture
async def connection(address: str, store: PostgresStore) -> AsyncIterator[Any]:
    """The user's own."""
    connection = await asyncpg.connect(address)
    yield connection
    await connection.close()


async def present(store: PostgresStore) -> datetime:
    return (await store.anchor()).wall


async def claimed(store: PostgresStore) -> list[str]:
    """The ids that a scan of everything gives, in its order."""
    request = ClaimRequest(worker_id=await a_worker_in(store), limit=100, types=["PARCEL", "TEST"])
    return [job.id for job in await store.claim(request, await present(store))]


async def exists(store: PostgresStore, job_id: str) -> bool:
    return bool(await store.statuses([JobId(job_id)]))


# ------------------------------------------------------------------------------------------------------- asyncpg


async def test_the_job_is_there_if_and_only_if_the_transaction_commits(store: PostgresStore, connection: Any) -> None:
    async with connection.transaction():
        kept = await app.submit("PARCEL", Parcel(1), connection=connection)
        assert not await exists(store, kept)
    with pytest.raises(RuntimeError):
        async with connection.transaction():
            lost = await app.submit("PARCEL", Parcel(2), connection=connection)
            raise RuntimeError

    assert await claimed(store) == [kept]
    assert not await exists(store, lost)


async def test_it_carries_the_types_policy_and_what_was_asked_for(store: PostgresStore, connection: Any) -> None:
    async with connection.transaction():
        plain = await app.submit("PARCEL", {"weight": 1}, connection=connection)
        asked = await app.submit(
            "PARCEL",
            {"weight": 2},
            connection=connection,
            priority="high",
            queue="default",
            delay_seconds=3600,
            max_attempts=7,
            timeout_seconds=5,
        )
    jobs = await store.get([JobId(plain), JobId(asked)], payload=True)

    job = jobs[JobId(plain)]
    assert (job.status, job.queue, job.max_attempts, job.timeout_seconds) == (Status.QUEUED, "parcels", 3, 30.0)
    assert (job.payload, job.attempt) == (b'{"weight":1}', 0)
    job = jobs[JobId(asked)]
    assert (job.status, job.queue, job.priority.name) == (Status.SCHEDULED, "default", "HIGH")
    assert (job.max_attempts, job.timeout_seconds) == (7, 5.0)
    assert job.run_at is not None
    assert abs(job.run_at - job.created_at - timedelta(hours=1)) < timedelta(seconds=5)


async def test_it_enters_its_line_at_its_commit_and_not_before(store: PostgresStore, connection: Any) -> None:
    transaction = connection.transaction()
    await transaction.start()
    late = await app.submit("PARCEL", Parcel(1), connection=connection)
    first = await inserted(store, now=await present(store), type="PARCEL", queue="parcels")
    second = await inserted(store, now=await present(store), type="PARCEL", queue="parcels")
    await transaction.commit()

    assert await claimed(store) == [first, second, late]


async def test_no_other_producer_waits_for_an_open_transaction(store: PostgresStore, connection: Any) -> None:
    async with connection.transaction():
        await app.submit("PARCEL", Parcel(1), connection=connection)
        async with asyncio.timeout(10):  # it would wait for as long as this block lasts
            await store.insert([a_submission(type="PARCEL", queue="parcels") for _ in range(50)], await present(store))
            found = await claimed(store)

    assert len(found) == 50
    assert len(await claimed(store)) == 1


async def test_without_a_transaction_it_is_refused_and_nothing_is_written(
    store: PostgresStore, connection: Any
) -> None:
    with pytest.raises(InvalidInput, match="no transaction is open"):
        await app.submit("PARCEL", Parcel(1), connection=connection)
    assert sum((await store.counts()).values()) == 0


async def test_bad_input_is_told_before_the_transaction_hears_of_it(store: PostgresStore, connection: Any) -> None:
    async with connection.transaction():
        with pytest.raises(InvalidInput) as refused:
            await app.submit(
                "PARCEL", {"weight": "heavy", "x": 1}, connection=connection, priority="urgent", idempotency_key="k"
            )
        assert await connection.fetchval("SELECT 1") == 1  # not aborted

    pointers = {problem.pointer for problem in refused.value.problems}
    assert {"/priority", "/payload/weight", "/payload/x", "/idempotencyKey"} <= pointers


@pytest.mark.parametrize("wrong", [object(), "postgresql://x", 5])
async def test_what_is_no_connection_is_named(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="expected an asyncpg Connection"):
        await app.submit("PARCEL", Parcel(1), connection=wrong)
    with pytest.raises(InvalidInput, match="expected a psycopg Connection"):
        app.submit_within(wrong, "PARCEL", Parcel(1))


# ------------------------------------------------------------------------------------------- psycopg and SQLAlchemy


async def test_psycopg_blocking_and_not(store: PostgresStore, address: str) -> None:
    def blocking() -> str:
        with psycopg.connect(address) as connection:
            kept = app.submit_within(connection, "PARCEL", Parcel(1))
        with psycopg.connect(address) as connection:
            app.submit_within(connection, "PARCEL", Parcel(2))
            connection.rollback()
        return kept

    kept = [await asyncio.to_thread(blocking)]
    async with await psycopg.AsyncConnection.connect(address) as connection:
        kept.append(await app.submit("PARCEL", Parcel(3), connection=connection))
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
        with pytest.raises(InvalidInput, match="no transaction is open"):
            await app.submit("PARCEL", Parcel(4), connection=connection)
        async with connection.transaction():
            kept.append(await app.submit("PARCEL", Parcel(5), connection=connection))

    assert await claimed(store) == kept


async def test_sqlalchemy_blocking_and_not(store: PostgresStore, address: str) -> None:
    def blocking() -> list[str]:
        engine = sqlalchemy.create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
        with Session(engine) as session, session.begin():
            kept = [app.submit_within(session, "PARCEL", Parcel(1))]
        with engine.begin() as connection:
            kept.append(app.submit_within(connection, "PARCEL", Parcel(2)))
        with Session(engine) as session:
            app.submit_within(session, "PARCEL", Parcel(3))
            session.rollback()
        engine.dispose()
        return kept

    kept = await asyncio.to_thread(blocking)
    for driver in ("psycopg", "asyncpg"):
        engine = create_async_engine(address.replace("postgresql://", f"postgresql+{driver}://"))
        async with AsyncSession(engine) as session, session.begin():
            kept.append(await app.submit("PARCEL", Parcel(4), connection=session))
        async with engine.begin() as connection:
            kept.append(await app.submit("PARCEL", Parcel(5), connection=connection))
        await engine.dispose()

    assert await claimed(store) == kept


# ----------------------------------------------------------------------------------------------------------- plain SQL


async def test_from_any_language_it_is_one_select(store: PostgresStore, connection: Any) -> None:
    before = await present(store)
    made = await connection.fetchval("""SELECT treadle_submit('PARCEL', '{"weight": 1, "a": null}')""")
    after = await present(store)

    assert isinstance(made, uuid.UUID)
    assert (parse_job_id(str(made)), str(made)[14]) == (str(made), "7")
    milliseconds = int(str(made).replace("-", "")[:12], 16)
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    assert before - timedelta(milliseconds=2) <= moment <= after
    assert await claimed(store) == [str(made)]
    job = (await store.get([JobId(str(made))], payload=True))[JobId(str(made))]
    assert job.payload == b'{"weight": 1, "a": null}'
    assert job.queued_at is not None
    assert before <= job.created_at <= job.queued_at <= after


async def test_ids_made_in_sql_differ_and_rise_by_the_millisecond(store: PostgresStore, connection: Any) -> None:
    rows = await connection.fetch(
        "SELECT treadle_submit('PARCEL', '{\"weight\": 1}') AS id FROM generate_series(1, 500)"
    )
    ids = [str(row["id"]) for row in rows]

    assert len(set(ids)) == 500
    assert [job_id[:13] for job_id in ids] == sorted(job_id[:13] for job_id in ids)
    assert all(job_id[19] in "89ab" for job_id in ids)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("treadle_submit('NONE', '{}')", "no job type is called 'NONE'"),
        ("treadle_submit(NULL, '{}')", "no job type is called NULL"),
        ("treadle_submit('PARCEL', '[]')", "payload must be a JSON object"),
        ("treadle_submit('PARCEL', NULL)", "payload must be a JSON object"),
        ("treadle_submit('PARCEL', '{}', priority => 'urgent')", "priority must be high or default"),
        ("treadle_submit('PARCEL', '{}', priority => NULL)", "priority must be high or default"),
        ("treadle_submit('PARCEL', '{}', queue => 'nowhere')", "names the queue 'nowhere'"),
        ("treadle_submit('PARCEL', '{}', max_attempts => 0)", "max_attempts must be from 1 to 25"),
        ("treadle_submit('PARCEL', '{}', timeout_seconds => 0)", "timeout_seconds must be"),
        ("treadle_submit('PARCEL', '{}', timeout_seconds => 'NaN')", "timeout_seconds must be"),
        ("treadle_submit('PARCEL', '{}', delay_seconds => -1)", "delay_seconds"),
        ("treadle_submit('PARCEL', '{}', delay_seconds => 1, run_at => now())", "run_at or delay_seconds"),
    ],
)
async def test_what_it_cannot_take_it_says_in_words(
    store: PostgresStore, connection: Any, call: str, words: str
) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match=words):
        await connection.fetchval(f"SELECT {call}")
    assert sum((await store.counts()).values()) == 0


async def test_it_works_from_a_session_with_another_search_path(store: PostgresStore, connection: Any) -> None:
    await connection.execute("CREATE SCHEMA shop; SET search_path TO shop")

    made = await connection.fetchval("""SELECT public.treadle_submit('PARCEL', '{"weight": 1}')""")

    assert await claimed(store) == [str(made)]
