"""The only place where an outcome becomes a verb: budgets, backoff as it is stored, and data that no database takes."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.builders import a_new_job, a_submission, a_worker
from tests.service.conftest import Office
from tests.waiting import eventually
from treadle.errors import Unavailable, Unstorable
from treadle.ids import JobId
from treadle.job import ClaimedJob, StoredJob
from treadle.outcome import Aborted, Artifact, Failed, Outcome, Parked, Released, Snoozed, Succeeded
from treadle.retry import MAX_SNOOZES, Backoff
from treadle.service.claim import claim
from treadle.service.settle import End, Settler, move_for
from treadle.states import Verb
from treadle.store.protocol import Note
from treadle.testing import ManualClock

WORKER = a_worker()


class Desk:
    """A settler, and jobs in the hands of its worker; the clock stands unless it is moved."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.settler = Settler(office.runtime)
        self.clock = ManualClock()
        office.runtime.clock = self.clock

    async def claimed(self, **job: Any) -> ClaimedJob:
        new = a_new_job(type="ANY", **job)
        await self.office.real_store.insert([a_submission(new)], self.clock.now())
        return await self.claimed_again(new.id)

    async def claimed_again(self, job_id: JobId) -> ClaimedJob:
        self.clock.advance(86_400)
        await self.office.real_store.promote_due(10, self.clock.now())
        [job] = await claim(self.office.runtime, WORKER.id, [job_id], None, 1)
        return job

    async def settle(self, job: ClaimedJob, outcome: Outcome) -> StoredJob:
        await self.settler.settle(End(job, outcome, WORKER.id))
        return await self.office.job(job.id)


@pytest.fixture
async def desk(office: Office) -> Desk:
    await office.real_store.register_worker(WORKER)
    return Desk(office)


def seconds_until(desk: Desk, moment: datetime | None) -> float:
    assert moment is not None
    return (moment - desk.clock.now()).total_seconds()


# --------------------------------------------------------------------------------------- verbs


@pytest.mark.parametrize(
    ("outcome", "verb", "failures"),
    [
        (Succeeded(b"1"), Verb.COMPLETE, 0),
        (Failed("ValueError", "x"), Verb.RETRY, 1),
        (Failed("ValueError", "x", retryable=False), Verb.FAIL, 1),
        (Snoozed(5.0), Verb.SNOOZE, 0),
        (Parked("look"), Verb.BURY, 0),
        (Released(), Verb.RELEASE, 0),
        (Aborted(), Verb.ABORT, 0),
    ],
    ids=["succeeded", "failed", "failed for good", "snoozed", "parked", "released", "aborted"],
)
async def test_each_outcome_is_one_verb_and_spends_what_it_should(
    desk: Desk, outcome: Outcome, verb: Verb, failures: int
) -> None:
    job = await desk.claimed()

    move = move_for(desk.office.runtime, End(job, outcome, WORKER.id), desk.clock.now())

    assert (move.verb, move.attempt, move.failures, move.crashes) == (verb, 1, failures, 0)
    assert (move.run_at is None) == (verb not in {Verb.RETRY, Verb.SNOOZE})


async def test_the_budget_of_failures_is_what_the_job_was_given(desk: Desk) -> None:
    job = await desk.claimed(max_attempts=4)
    for failures in (1, 2, 3):
        stored = await desk.settle(job, Failed("ValueError", "x"))
        assert (stored.status, stored.failures) == ("retrying", failures)
        job = await desk.claimed_again(job.id)

    stored = await desk.settle(job, Failed("ValueError", "x"))

    assert (stored.status, stored.failures, stored.crashes, stored.attempt) == ("failed", 4, 0, 4)


async def test_a_snooze_and_a_release_spend_nothing(desk: Desk) -> None:
    job = await desk.claimed(max_attempts=1)
    outcomes: list[Outcome] = [Snoozed(1.0), Released(), Snoozed(2.0)]
    for outcome in outcomes:
        stored = await desk.settle(job, outcome)
        assert (stored.failures, stored.crashes) == (0, 0)
        job = await desk.claimed_again(job.id)

    assert (job.attempt, job.snoozes) == (4, 2)
    assert (await desk.settle(job, Succeeded(b"1"))).status == "completed"


async def test_a_job_cannot_be_snoozed_for_ever(desk: Desk) -> None:
    job = msgspec.structs.replace(await desk.claimed(), snoozes=MAX_SNOOZES)

    stored = await desk.settle(job, Snoozed(1.0))

    assert (stored.status, stored.failures) == ("failed", 1)
    assert b"snoozed_too_often" in stored.errors

    job = msgspec.structs.replace(await desk.claimed(), snoozes=MAX_SNOOZES - 1)
    assert (await desk.settle(job, Snoozed(1.0))).status == "scheduled"


async def test_a_snooze_lasts_as_long_as_it_was_asked_to(desk: Desk) -> None:
    stored = await desk.settle(await desk.claimed(), Snoozed(12.5))

    assert seconds_until(desk, stored.run_at) == 12.5


# ------------------------------------------------------------------------------------- backoff


async def test_the_stored_pause_doubles_between_half_and_all_of_its_bound(desk: Desk) -> None:
    job = await desk.claimed(max_attempts=25, backoff=Backoff(3.0, 40.0))
    for full in (3, 6, 12, 24, 40, 40):
        stored = await desk.settle(job, Failed("ValueError", "x"))
        assert full / 2 <= seconds_until(desk, stored.run_at) <= full
        job = await desk.claimed_again(job.id)


async def test_pauses_are_spread(desk: Desk) -> None:
    pauses = set()
    for _ in range(12):
        stored = await desk.settle(await desk.claimed(backoff=Backoff(100.0, 100.0)), Failed("ValueError", "x"))
        pauses.add(seconds_until(desk, stored.run_at))

    assert len(pauses) == 12
    assert max(pauses) - min(pauses) > 5


async def test_a_retry_is_not_claimed_before_its_time(desk: Desk) -> None:
    job = await desk.claimed(backoff=Backoff(10.0, 10.0))
    stored = await desk.settle(job, Failed("ValueError", "x"))
    pause = seconds_until(desk, stored.run_at)

    desk.clock.advance(pause - 0.001)
    await desk.office.real_store.promote_due(10, desk.clock.now())
    assert await claim(desk.office.runtime, WORKER.id, [job.id], None, 1) == []

    desk.clock.advance(0.002)
    await desk.office.real_store.promote_due(10, desk.clock.now())
    assert len(await claim(desk.office.runtime, WORKER.id, [job.id], None, 1)) == 1


# -------------------------------------------------------------------------------- what is kept


async def test_a_failure_keeps_its_story(desk: Desk) -> None:
    job = await desk.claimed()
    desk.clock.advance(3)

    stored = await desk.settle(job, Failed("ValueError", "no such thing", "Traceback ..."))

    [error] = msgspec.json.decode(stored.errors)
    assert (error["attempt"], error["kind"], error["message"]) == (1, "ValueError", "no such thing")
    assert (error["traceback"], error["worker"]) == ("Traceback ...", WORKER.id)
    times = [msgspec.convert(error[name], datetime) for name in ("startedAt", "endedAt")]
    assert times[1] - times[0] == timedelta(seconds=3)
    assert stored.error == "no such thing"


@pytest.mark.parametrize(
    "failed",
    [
        Failed("K" * 10_000, "m" * 100_000, "t" * 100_000),
        Failed("half \ud800", "a\0b", "\x1b[31m"),
        Failed("Quiet", ""),
    ],
    ids=["huge", "hostile", "silent"],
)
async def test_whatever_a_failure_says_is_stored_and_readable(desk: Desk, failed: Failed) -> None:
    stored = await desk.settle(await desk.claimed(), failed)

    [error] = msgspec.json.decode(stored.errors)
    assert stored.status == "retrying"
    assert error["message"]
    assert len(stored.errors) < 20_000


async def test_the_files_that_count_are_named_in_the_row(desk: Desk) -> None:
    artifact = Artifact("report.csv", "x.csv", 12, "ab" * 32, "text/csv")

    stored = await desk.settle(await desk.claimed(), Succeeded(b"1", (artifact,)))

    assert msgspec.json.decode(stored.artifacts) == [
        {"name": "report.csv", "path": "x.csv", "sizeBytes": 12, "sha256": "ab" * 32, "mediaType": "text/csv"}
    ]


# -------------------------------------------------------------------------------- group commit


async def test_outcomes_that_come_together_share_a_commit(desk: Desk) -> None:
    jobs = [await desk.claimed() for _ in range(20)]
    gate = desk.office.store.hold("settle", times=1)
    first = asyncio.create_task(desk.settler.settle(End(jobs[0], Succeeded(b"1"), WORKER.id)))
    await gate.reached.wait()
    others = [asyncio.create_task(desk.settler.settle(End(job, Succeeded(b"1"), WORKER.id))) for job in jobs[1:]]
    await eventually(lambda: desk.settler._moves.waiting_items == 19)

    gate.open()
    settled = await asyncio.gather(first, *others)

    assert [done.status for done in settled] == ["completed"] * 20
    assert desk.office.store.calls["settle"] == 2


async def test_data_that_the_database_refuses_fails_its_own_job_alone(desk: Desk) -> None:
    blocking, good, bad = await desk.claimed(), await desk.claimed(), await desk.claimed()
    gate = desk.office.store.hold("settle", times=1)
    blocker = asyncio.create_task(desk.settler.settle(End(blocking, Succeeded(b"1"), WORKER.id)))
    await gate.reached.wait()
    # What no check of ours would let through: the database itself is the last line.
    outcomes = {good.id: Succeeded(b"1"), bad.id: Succeeded(b"{not json")}
    both = [asyncio.create_task(desk.settler.settle(End(job, outcomes[job.id], WORKER.id))) for job in (good, bad)]
    await eventually(lambda: desk.settler._moves.waiting_items == 2)

    gate.open()
    await asyncio.gather(blocker, *both)

    assert (await desk.office.job(good.id)).status == "completed"
    refused = await desk.office.job(bad.id)
    assert (refused.status, refused.failures) == ("failed", 1)
    assert b"result_not_storable" in refused.errors


async def test_an_outage_decides_nothing(desk: Desk) -> None:
    job = await desk.claimed()
    desk.office.store.refuse("settle", times=1)

    with pytest.raises(Unavailable):
        await desk.settler.settle(End(job, Succeeded(b"1"), WORKER.id))

    assert (await desk.office.job(job.id)).status == "processing"
    assert (await desk.settle(job, Succeeded(b"1"))).status == "completed"


async def test_an_attempt_that_is_past_hears_so(desk: Desk) -> None:
    job = await desk.claimed()
    await desk.settle(job, Released())
    await desk.claimed_again(job.id)

    late = await desk.settler.settle(End(job, Succeeded(b"1"), WORKER.id))

    assert late.status is None
    assert (await desk.office.job(job.id)).status == "processing"


async def test_progress_goes_along_with_the_outcome(desk: Desk) -> None:
    job = await desk.claimed()

    await desk.settler.settle(End(job, Failed("ValueError", "x"), WORKER.id, b'{"done":1}'))

    assert (await desk.office.job(job.id)).progress == b'{"done":1}'


async def test_notes_of_many_jobs_share_a_commit_and_each_hears_its_own_fate(desk: Desk) -> None:
    jobs = [await desk.claimed() for _ in range(5)]
    await desk.settle(jobs[2], Succeeded(b"1"))
    notes = [desk.settler.note(Note(job.id, 1, progress=b'{"done":1}')) for job in jobs]

    told = await asyncio.gather(*notes)

    assert told == [True, True, False, True, True]
    assert desk.office.store.calls["note"] == 1


async def test_a_note_that_no_database_takes_is_told_to_whoever_wrote_it(desk: Desk) -> None:
    job = await desk.claimed()

    with pytest.raises(Unstorable):
        await desk.settler.note(Note(job.id, 1, checkpoint=b"{not json"))
