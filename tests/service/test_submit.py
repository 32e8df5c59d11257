"""Submitting: a returned id is a committed row; requests that come together share a commit; all problems at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.builders import a_worker
from tests.service.conftest import Office
from tests.waiting import eventually
from treadle.errors import InvalidInput, Overloaded, Problem, Unavailable
from treadle.job import JobRequest
from treadle.queue import Priority
from treadle.retry import Backoff
from treadle.service import submit as submit_module
from treadle.service.claim import claim
from treadle.service.submit import Submitter
from treadle.states import Status

ANY = JobRequest(type="ANY", payload=b"{}")


async def problems_of(office: Office, *requests: JobRequest, pointer: str | None = None) -> list[tuple[str, str]]:
    before = await office.real_store.counts()
    with pytest.raises(InvalidInput) as refused:
        await office.submitter.submit(requests, pointer=pointer)
    assert await office.real_store.counts() == before
    return [(problem.pointer, problem.code) for problem in refused.value.problems]


# -------------------------------------------------------------------------------- group commit


async def test_a_thousand_submitters_share_few_commits(office: Office) -> None:
    answers = await asyncio.gather(*(office.submitter.submit([ANY]) for _ in range(1000)))

    ids = [answer.ids[0] for answer in answers]
    assert len(set(ids)) == 1000
    assert len(await office.real_store.get(ids)) == 1000
    assert office.store.calls["insert"] <= 5


async def test_one_submitter_alone_waits_for_nobody(office: Office) -> None:
    gate = office.store.hold("insert", times=1)
    submitting = asyncio.create_task(office.submit())
    await asyncio.wait_for(gate.reached.wait(), 5)

    gate.open()
    assert (await office.job(await submitting)).status is Status.QUEUED
    assert office.store.calls["insert"] == 1


async def test_what_comes_during_a_commit_goes_with_the_next_one(office: Office) -> None:
    gate = office.store.hold("insert", times=1)
    first = asyncio.create_task(office.submit())
    await gate.reached.wait()
    others = [asyncio.create_task(office.submit()) for _ in range(50)]
    await eventually(lambda: office.submitter._group.waiting_items == 50)

    gate.open()
    await asyncio.gather(first, *others)

    assert office.store.calls["insert"] == 2


async def test_a_batch_is_all_or_nothing_and_keeps_its_order(office: Office) -> None:
    requests = [JobRequest(type="ANY", payload=b'{"n":%d}' % n) for n in range(20)]

    submitted = await office.submitter.submit(requests)

    stored = await office.real_store.get(submitted.ids, payload=True)
    assert [stored[job_id].payload for job_id in submitted.ids] == [request.payload for request in requests]
    bad = JobRequest(type="NOBODY", payload=b"{}")
    assert await problems_of(office, *requests, bad, pointer="/jobs") == [("/jobs/20/type", "unknown_type")]


# ------------------------------------------------------------------------------- what is wrong


async def test_every_problem_of_every_request_is_told_with_its_place(office: Office) -> None:
    told = await problems_of(
        office,
        JobRequest(type="NOBODY", payload=b"{}", queue="nowhere"),
        ANY,
        JobRequest(type="POINT", payload=b'{"x":"one","z":1}'),
        JobRequest(payload=b"{}", problems=(Problem("/type", "required", "this member is required"),)),
        pointer="/jobs",
    )

    assert sorted(told) == [
        ("/jobs/0/queue", "unknown_queue"),
        ("/jobs/0/type", "unknown_type"),
        ("/jobs/2/payload/x", "type"),
        ("/jobs/2/payload/z", "unknown_field"),
        ("/jobs/3/type", "required"),
    ]


async def test_the_pointers_of_a_single_request_start_at_its_own_root(office: Office) -> None:
    assert await problems_of(office, JobRequest(type="POINT", payload=b"{}")) == [("/payload/x", "required")]


async def test_no_more_problems_are_told_than_anybody_reads(office: Office) -> None:
    told = await problems_of(office, *[JobRequest(type="NOBODY", payload=b"{}")] * 500, pointer="/jobs")

    assert len(told) == submit_module.MAX_REPORTED_PROBLEMS


async def test_a_large_payload_is_checked_beside_the_loop_and_refused_alike(office: Office) -> None:
    pad = b" " * submit_module.LARGE_BYTES
    large = JobRequest(type="POINT", payload=b"{" + pad + b"}")

    assert await problems_of(office, large) == [("/payload/x", "required")]
    assert await office.submit("POINT", payload=b'{"x":1' + pad + b"}")


async def test_lenient_mode_takes_any_object_of_any_type(office: Office) -> None:
    office.set(payload_validation="lenient")

    unknown = await office.submit("NOBODY", payload=b'{"what":"ever"}')
    wrong = await office.submit("POINT", payload=b'{"x":"one"}')

    assert [(await office.job(job_id)).status for job_id in (unknown, wrong)] == ["queued", "queued"]


async def test_lenient_mode_still_refuses_queues_that_nobody_serves(office: Office) -> None:
    office.set(payload_validation="lenient")
    lost = JobRequest(type="ANY", payload=b"{}", queue="nowhere")

    assert await problems_of(office, lost) == [("/queue", "unknown_queue")]


@pytest.mark.parametrize("queue", ["default", "maps", "served"])
async def test_a_queue_is_known_by_a_type_or_a_setting(office: Office, queue: str) -> None:
    office.set(queues=("served",))

    assert (await office.job(await office.submit(queue=queue))).queue == queue


# ------------------------------------------------------------------------------------- policy


async def test_a_types_policy_is_resolved_into_the_row(office: Office) -> None:
    office.set(retry_base_seconds=1.0)  # half of what leaves a type's backoff as it is
    job_id = await office.submit("POINT", payload=b'{"x":1}')

    worker = a_worker()
    await office.real_store.register_worker(worker)
    [job] = await claim(office.runtime, worker.id, [job_id], None, 1)
    assert (job.queue, job.priority, job.max_attempts, job.max_crashes) == ("maps", Priority.DEFAULT, 5, 2)
    assert (job.timeout_seconds, job.backoff) == (7.0, Backoff(2.0, 50.0))


async def test_what_the_request_says_goes_before_the_policy(office: Office) -> None:
    said = {"queue": "default", "priority": Priority.HIGH, "max_attempts": 1, "timeout_seconds": 0.5}

    job = await office.job(await office.submit("POINT", payload=b'{"x":1}', **said))

    assert (job.queue, job.priority, job.max_attempts, job.timeout_seconds) == ("default", Priority.HIGH, 1, 0.5)


@pytest.mark.parametrize(
    ("when", "status"),
    [
        ({"run_at": timedelta(hours=1)}, "scheduled"),
        ({"run_at": timedelta(hours=-1)}, "queued"),
        ({"run_at": timedelta(0)}, "queued"),
        ({"delay_seconds": 60.0}, "scheduled"),
        ({"delay_seconds": 0.0}, "queued"),
        ({}, "queued"),
    ],
)
async def test_what_is_due_already_is_queued_and_announced_and_what_is_not_is_neither(
    office: Office, when: dict[str, Any], status: str
) -> None:
    now = office.runtime.clock.now()
    members: dict[str, Any] = {
        name: now + value if isinstance(value, timedelta) else value for name, value in when.items()
    }

    job = await office.job(await office.submit(**members))

    assert job.status == status
    assert (job.run_at is None) == (status == "queued")
    assert [job_id for _, _, job_id in office.dispatch.announced] == ([job.id] if status == "queued" else [])


# ------------------------------------------------------------------------------------- outages


async def test_a_commit_whose_answer_is_lost_is_sent_again_and_makes_one_job(office: Office) -> None:
    office.store.lose_answer("insert", times=2)

    job_id = await office.submit()

    assert office.store.calls["insert"] == 3
    assert (await office.real_store.counts())[Status.QUEUED] == 1
    assert [announced for _, _, announced in office.dispatch.announced] == [job_id]


async def test_an_outage_is_told_at_once_and_nothing_is_stored(office: Office) -> None:
    office.store.refuse("insert")

    with pytest.raises(Unavailable) as refused:
        await office.submit()

    assert refused.type is Unavailable  # and not that it may have been stored
    assert (await office.real_store.counts())[Status.QUEUED] == 0
    assert office.dispatch.announced == []


async def test_a_store_that_hangs_is_given_up_in_time_by_whoever_was_not_sent_yet(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit_module, "SUBMIT_TIMEOUT_SECONDS", 0.1)
    gate = office.store.hold("insert", times=1)
    sent = asyncio.create_task(office.submit())
    await gate.reached.wait()

    with pytest.raises(Unavailable):
        await office.submit()

    assert not sent.done()  # its fate is not known: it waits on
    gate.open()
    await sent
    await office.submitter.aclose()
    assert (await office.real_store.counts())[Status.QUEUED] == 1


async def test_beyond_what_may_wait_the_answer_is_overloaded_and_at_once(office: Office) -> None:
    gate = office.store.hold("insert", times=1)
    first = asyncio.create_task(office.submit())
    await gate.reached.wait()
    office.submitter._group._max_waiting_items = 3
    waiting = [asyncio.create_task(office.submit()) for _ in range(3)]
    await eventually(lambda: office.submitter._group.waiting_items == 3)

    with pytest.raises(Overloaded):
        await office.submit()

    gate.open()
    await asyncio.gather(first, *waiting)
    await office.submit()


async def test_a_client_that_goes_away_takes_nothing_back(office: Office) -> None:
    gate = office.store.hold("insert", times=1)
    submitting = asyncio.create_task(office.submit())
    await gate.reached.wait()
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting

    gate.open()
    await office.submitter.aclose()

    assert (await office.real_store.counts())[Status.QUEUED] == 1


async def test_closing_waits_for_what_was_accepted(office: Office) -> None:
    gate = office.store.hold("insert", times=1)
    submitter = Submitter(office.runtime)
    submitting = asyncio.create_task(submitter.submit([ANY]))
    await gate.reached.wait()
    closing = asyncio.create_task(submitter.aclose())
    gate.open()

    await closing

    assert (await office.real_store.counts())[Status.QUEUED] == 1
    assert (await submitting).ids
