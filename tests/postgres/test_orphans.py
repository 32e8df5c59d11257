"""The search for orphans: what it asks for, how often, and that who left nothing is not asked about for ever."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.steps import at, claim, crash, inserted, started
from tests.postgres.conftest import Beside
from treadle.errors import Unavailable
from treadle.ids import JobId, WorkerId
from treadle.store.postgres import orphans
from treadle.store.postgres.marks import LONGEST_SECONDS
from treadle.store.postgres.pace import Pace
from treadle.store.postgres.statement import SQL, Statement
from treadle.store.postgres.store import PostgresStore
from treadle.store.protocol import LATE_CLAIM_SECONDS

NAMES = {statement.text: name for name, statement in SQL.items()}


class Hours:
    """Rising seconds as the search sees them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def rising(self) -> float:
        return self.now


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    hours = Hours()
    monkeypatch.setattr(orphans, "rising_seconds", hours.rising)
    return hours


@pytest.fixture
def asked(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that the search sends."""
    asked: list[str] = []
    read = store._connections.read

    async def noted(statement: Statement, values: Any) -> Any:
        asked.append(NAMES[statement.text])
        return await read(statement, values)

    monkeypatch.setattr(store._connections, "read", noted)
    return asked


async def ids_of(store: PostgresStore) -> list[JobId]:
    return [orphan.id for orphan in await store.orphans(100)]


async def claim_late(beside: Beside, worker_id: WorkerId, job_id: JobId) -> None:
    """What a claim leaves that saw the lease alive and committed after its end."""
    connection = await beside()
    await connection.execute(
        "UPDATE jobs SET status = 'processing', worker_id = $1, attempts = attempts + 1, started_at = now()"
        " WHERE id = $2",
        worker_id,
        job_id,
    )


@pytest.mark.parametrize(("took", "again_after"), [(0.05, 0.0), (0.2, 20.0), (5.0, LONGEST_SECONDS)])
def test_a_look_is_made_the_more_rarely_the_dearer_it_was(took: float, again_after: float) -> None:
    pace = Pace(cheap_seconds=0.1)
    assert pace.is_due(0.0)
    pace.looked(0.0, took)

    assert pace.is_due(took + again_after)
    assert not again_after or not pace.is_due(took + again_after - 0.1)


async def test_of_a_worker_that_left_nothing_nothing_is_asked_any_more(
    store: PostgresStore, worker_id: WorkerId, hours: Hours, asked: list[str]
) -> None:
    store._orphans._pace.looked(hours.now - 5.0, hours.now)
    job = await started(store, worker_id)
    await store.end_worker(worker_id, None, at(1))
    assert await ids_of(store) == [job.id]
    await crash(store, job, now=at(2))
    assert await ids_of(store) == []
    hours.now += LATE_CLAIM_SECONDS
    assert await ids_of(store) == []
    asked.clear()

    assert await ids_of(store) == []
    assert asked == ["ended_workers"]


async def test_a_claim_that_commits_after_the_end_of_its_lease_is_found(
    store: PostgresStore, worker_id: WorkerId, hours: Hours, beside: Beside
) -> None:
    store._orphans._pace.looked(hours.now - 5.0, hours.now)
    job_id = await inserted(store)
    await store.end_worker(worker_id, None, at(1))
    assert await ids_of(store) == []
    hours.now += LATE_CLAIM_SECONDS - 1.0
    assert await ids_of(store) == []

    await claim_late(beside, worker_id, job_id)

    assert await ids_of(store) == [job_id]


async def test_jobs_of_a_worker_without_a_row_are_found_when_all_that_runs_is_looked_at(
    store: PostgresStore, worker_id: WorkerId, hours: Hours, beside: Beside
) -> None:
    job = await started(store, worker_id)
    assert await ids_of(store) == []
    store._orphans._pace.looked(hours.now - 5.0, hours.now)  # that was dear
    connection = await beside()
    await connection.execute("DELETE FROM workers")
    assert await ids_of(store) == []

    hours.now += LONGEST_SECONDS

    assert await ids_of(store) == [job.id]


async def test_a_look_at_all_that_runs_which_fails_keeps_nobody_from_finding_the_ended_ones(
    store: PostgresStore, worker_id: WorkerId, hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = store._connections.read

    async def too_long(statement: Statement, values: Any) -> Any:
        if statement is SQL["orphans"]:
            hours.now += 8.0
            raise Unavailable("canceling statement due to statement timeout")
        return await read(statement, values)

    monkeypatch.setattr(store._connections, "read", too_long)
    with pytest.raises(Unavailable):
        await ids_of(store)
    assert await ids_of(store) == []  # not again at once

    job_id = await inserted(store)
    await claim(store, worker_id, job_id)
    await store.end_worker(worker_id, None, at(1))
    hours.now += LONGEST_SECONDS
    assert await ids_of(store) == [job_id]
