"""A hint goes out after its commit and never before: whoever is told finds the row, ready."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.builders import a_move, a_worker
from tests.service.conftest import Office
from treadle.ids import JobId
from treadle.job import JobRequest
from treadle.queue import Priority
from treadle.service.claim import claim
from treadle.service.operate import bury, cancel, requeue
from treadle.service.promote import promote_due
from treadle.service.settle import Settler
from treadle.states import Status, Verb
from treadle.testing import FaultyDispatch, ManualClock


class Witness(FaultyDispatch):
    """Looks at each job through a connection of its own, at the very moment it is announced."""

    def __init__(self, office: Office) -> None:
        super().__init__(office.dispatch)
        self._database = office.database
        self.seen: list[tuple[JobId, str | None]] = []

    def announce(self, queue: str, priority: Priority, ids: Sequence[JobId]) -> None:
        connection = sqlite3.connect(self._database)
        try:
            for job_id in ids:
                row = connection.execute("SELECT status FROM jobs WHERE id = ?", (job_id,)).fetchone()
                self.seen.append((job_id, None if row is None else row[0]))
        finally:
            connection.close()
        super().announce(queue, priority, ids)


@pytest.fixture
def witness(office: Office) -> Witness:
    office.runtime.dispatch = witness = Witness(office)
    return witness


async def claimed(office: Office) -> JobId:
    """A job in the hands of a worker that nobody runs."""
    job_id = await office.submit()
    worker = a_worker()
    await office.real_store.register_worker(worker)
    [job] = await claim(office.runtime, worker.id, [job_id], None, 1)
    return job.id


async def test_a_submitted_job_is_there_when_it_is_announced(office: Office, witness: Witness) -> None:
    ids = [await office.submit() for _ in range(3)]

    assert witness.seen == [(job_id, "queued") for job_id in ids]


async def test_nothing_is_announced_of_a_commit_that_failed(office: Office, witness: Witness) -> None:
    office.store.refuse("insert", error=ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await office.submit()

    assert witness.seen == []


async def test_a_promoted_job_is_queued_when_it_is_announced(office: Office, witness: Witness) -> None:
    office.runtime.clock = clock = ManualClock()
    job_id = await office.submit(run_at=clock.now() + timedelta(seconds=5))
    clock.advance(5)

    await promote_due(office.runtime)

    assert witness.seen == [(job_id, "queued")]


async def test_a_requeued_job_is_queued_when_it_is_announced(office: Office, witness: Witness) -> None:
    job_id = await office.submit(priority=Priority.HIGH)
    await cancel(office.runtime, job_id)
    witness.seen.clear()
    witness.announced.clear()

    await requeue(office.runtime, job_id)

    assert witness.seen == [(job_id, "queued")]
    assert witness.announced == [("default", Priority.HIGH, job_id)]


async def test_a_released_job_is_queued_when_it_is_announced(office: Office, witness: Witness) -> None:
    job_id = await claimed(office)
    witness.seen.clear()

    await Settler(office.runtime).release(job_id, 1)

    assert witness.seen == [(job_id, "queued")]


async def test_a_release_that_is_past_announces_nothing(office: Office, witness: Witness) -> None:
    job_id = await claimed(office)
    await office.real_store.settle([a_move(job_id=job_id, attempt=1)], office.runtime.clock.now())
    witness.seen.clear()

    assert (await Settler(office.runtime).release(job_id, 1)).status is None
    assert witness.seen == []


@pytest.mark.parametrize("verb", [Verb.COMPLETE, Verb.FAIL, Verb.BURY, Verb.RETRY])
async def test_what_does_not_become_ready_is_not_announced(office: Office, witness: Witness, verb: Verb) -> None:
    job_id = await claimed(office)
    witness.seen.clear()

    result = b"null" if verb is Verb.COMPLETE else None
    error = None if verb is Verb.COMPLETE else "x"
    run_at = office.runtime.clock.now() if verb is Verb.RETRY else None
    move = a_move(job_id=job_id, attempt=1, verb=verb, result=result, error=error, run_at=run_at)
    await Settler(office.runtime)._moves.submit(move)

    assert witness.seen == []


async def test_burying_announces_nothing(office: Office, witness: Witness) -> None:
    job_id = await claimed(office)
    fail = a_move(job_id=job_id, attempt=1, verb=Verb.FAIL, result=None, error="x")
    await office.real_store.settle([fail], office.runtime.clock.now())
    witness.seen.clear()

    assert await bury(office.runtime, job_id) is Status.DEAD
    assert witness.seen == []


async def test_jobs_of_two_lines_are_announced_each_to_its_own_and_in_their_order(
    office: Office, witness: Witness
) -> None:
    requests = [JobRequest(type="ANY", payload=b"{}", priority=Priority(n % 2)) for n in range(10)]

    ids = (await office.submitter.submit(requests)).ids

    for priority in Priority:
        told = [job_id for _, line, job_id in witness.announced if line is priority]
        assert told == list(ids[priority::2])
