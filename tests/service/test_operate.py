"""What a person may do to a job, and to a queue; what he may not is refused with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.builders import a_move, a_worker
from tests.service.conftest import Office
from treadle.errors import IllegalTransition, NotFound
from treadle.ids import JobId, new_job_id
from treadle.service.browse import counts, get, page
from treadle.service.claim import claim
from treadle.service.operate import bury, cancel, requeue
from treadle.service.queues import list_queues, pause, resume
from treadle.service.runtime import Runtime
from treadle.states import Status, Verb
from treadle.store.protocol import JobFilter


async def failed_job(office: Office) -> JobId:
    job_id = await running_job(office)
    move = a_move(job_id=job_id, verb=Verb.FAIL, result=None, error="x", failures=1)
    await office.real_store.settle([move], office.runtime.clock.now())
    return job_id


async def running_job(office: Office) -> JobId:
    job_id = await office.submit()
    worker = a_worker()
    await office.real_store.register_worker(worker)
    assert await claim(office.runtime, worker.id, [job_id], None, 1)
    return job_id


@pytest.mark.parametrize("verb", [cancel, requeue, bury])
async def test_an_unknown_job_is_not_found(office: Office, verb: Callable[[Runtime, JobId], Awaitable[Status]]) -> None:
    with pytest.raises(NotFound):
        await verb(office.runtime, new_job_id())


async def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked(office: Office) -> None:
    waiting, running = await office.submit(), await running_job(office)

    assert await cancel(office.runtime, waiting) is Status.CANCELLED
    assert await cancel(office.runtime, running) is Status.PROCESSING
    assert (await office.job(running)).cancel_requested


async def test_a_final_job_cannot_be_cancelled_and_the_refusal_says_why(office: Office) -> None:
    job_id = await failed_job(office)

    with pytest.raises(IllegalTransition, match="failed cannot be cancelled"):
        await cancel(office.runtime, job_id)


async def test_a_requeued_job_has_a_new_life_and_the_same_fence(office: Office) -> None:
    job_id = await failed_job(office)

    assert await requeue(office.runtime, job_id) is Status.QUEUED

    job = await office.job(job_id)
    assert (job.failures, job.crashes, job.attempt, job.error, job.cancel_requested) == (0, 0, 1, None, False)


async def test_a_job_that_waits_or_runs_cannot_be_requeued(office: Office) -> None:
    for job_id in (await office.submit(), await running_job(office)):
        with pytest.raises(IllegalTransition):
            await requeue(office.runtime, job_id)


async def test_a_failed_job_may_be_buried_once(office: Office) -> None:
    job_id = await failed_job(office)

    assert await bury(office.runtime, job_id) is Status.DEAD
    with pytest.raises(IllegalTransition):
        await bury(office.runtime, job_id)


async def test_of_many_requeues_at_once_one_wins_and_one_hint_goes_out(office: Office) -> None:
    job_id = await failed_job(office)
    office.dispatch.announced.clear()

    told = await asyncio.gather(*(requeue(office.runtime, job_id) for _ in range(20)), return_exceptions=True)

    assert sum(answer is Status.QUEUED for answer in told) == 1
    assert sum(isinstance(answer, IllegalTransition) for answer in told) == 19
    assert len(office.dispatch.announced) == 1


@pytest.mark.parametrize("is_cancel_first", [True, False])
async def test_a_cancel_that_races_with_a_completion_leaves_the_job_completed(
    office: Office, is_cancel_first: bool
) -> None:
    for _ in range(5):
        job_id = await running_job(office)
        settle = office.real_store.settle([a_move(job_id=job_id)], office.runtime.clock.now())
        if is_cancel_first:
            cancelled = asyncio.create_task(cancel(office.runtime, job_id))
            settling = asyncio.create_task(settle)
        else:
            settling = asyncio.create_task(settle)
            cancelled = asyncio.create_task(cancel(office.runtime, job_id))

        await asyncio.wait((settling, cancelled))

        assert settling.result()[0].status == "completed"
        assert isinstance(cancelled.exception(), IllegalTransition) or cancelled.result() is Status.PROCESSING
        assert (await office.job(job_id)).status == "completed"


async def test_pausing_and_resuming_a_queue_that_nobody_knows_is_refused(office: Office) -> None:
    for verb in (pause, resume):
        with pytest.raises(NotFound):
            await verb(office.runtime, "nowhere")


async def test_a_paused_queue_says_since_when(office: Office) -> None:
    await pause(office.runtime, "maps")

    paused = {queue.name: queue.paused_at for queue in await list_queues(office.runtime)}
    assert paused["default"] is None
    assert paused["maps"] is not None

    await resume(office.runtime, "maps")
    assert [queue.paused_at for queue in await list_queues(office.runtime)] == [None, None]


async def test_reading_one_many_and_counting(office: Office) -> None:
    first, second = await office.submit(), await office.submit()

    assert (await get(office.runtime, first)).payload is None
    assert (await get(office.runtime, first, payload=True)).payload == b"{}"
    with pytest.raises(NotFound):
        await get(office.runtime, new_job_id())
    found = await page(office.runtime, JobFilter(), None, 1)
    assert [job.id for job in found.jobs] == [second]
    assert (await counts(office.runtime))[Status.QUEUED] == 2
