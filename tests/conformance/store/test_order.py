"""Ready order (S7): ``(queued_at, id)`` inside a line, every high line before every default one, queues in turn."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.builders import a_new_job
from tests.conformance.steps import an_id_at, at, claim, insert, inserted, operate, scan, settle, started
from treadle.ids import JobId, WorkerId
from treadle.queue import Priority
from treadle.states import Verb
from treadle.store.protocol import Store


async def in_order(store: Store, worker_id: WorkerId, **wanted: Any) -> list[JobId]:
    """Everything ready, claimed one by one."""
    order: list[JobId] = []
    while claimed := await scan(store, worker_id, limit=1, **wanted):
        order.append(claimed[0].id)
    return order


async def test_first_in_first_out_by_the_moment_of_queueing(store: Store, worker_id: WorkerId) -> None:
    late = await inserted(store, now=at(3), id=an_id_at(at(1)))
    early = await inserted(store, now=at(1), id=an_id_at(at(3)))
    middle = await inserted(store, now=at(2), id=an_id_at(at(2)))

    assert await in_order(store, worker_id) == [early, middle, late]


async def test_inside_one_moment_by_id(store: Store, worker_id: WorkerId) -> None:
    ids = [an_id_at(at(0), number) for number in (5, 1, 4, 2, 3)]
    for job_id in ids:
        await inserted(store, id=job_id)

    assert await in_order(store, worker_id) == sorted(ids)


async def test_one_scan_is_in_ready_order_too(store: Store, worker_id: WorkerId) -> None:
    ids = [await inserted(store, now=at(seconds)) for seconds in (5, 1, 4, 2, 3)]

    claimed = await scan(store, worker_id, limit=4)

    assert [job.id for job in claimed] == [ids[1], ids[3], ids[4], ids[2]]


async def test_high_runs_before_default_over_all_queues(store: Store, worker_id: WorkerId) -> None:
    low = [await inserted(store, now=at(1), queue=queue) for queue in "abc"]
    high = [await inserted(store, now=at(9), queue=queue, priority=Priority.HIGH) for queue in "cab"]

    order = await in_order(store, worker_id)

    assert set(order[:3]) == set(high)
    assert set(order[3:]) == set(low)


async def test_one_scan_fills_up_with_default_after_all_high(store: Store, worker_id: WorkerId) -> None:
    low = [await inserted(store, now=at(1), queue=queue) for queue in "ab"]
    high = [await inserted(store, now=at(9), queue=queue, priority=Priority.HIGH) for queue in "ba"]

    claimed = await scan(store, worker_id, limit=3)

    assert {job.id for job in claimed[:2]} == set(high)
    assert claimed[2].id in low


async def test_a_paused_queues_high_jobs_hold_nobody_up(store: Store, worker_id: WorkerId) -> None:
    await inserted(store, queue="paused", priority=Priority.HIGH)
    other = await inserted(store, queue="open")
    await store.set_paused("paused", at(0))

    assert await in_order(store, worker_id) == [other]


@pytest.mark.parametrize("served", [None, ("a", "b", "c"), ("c", "b", "a")])
async def test_queues_take_turns(store: Store, worker_id: WorkerId, served: tuple[str, ...] | None) -> None:
    await insert(store, *(a_new_job(queue=queue) for queue in "abc" for _ in range(10)))

    taken = [(await scan(store, worker_id, limit=1, queues=served))[0].queue for _ in range(9)]

    assert min(Counter(taken)[queue] for queue in "abc") >= 1


async def test_a_deep_queue_does_not_starve_a_shallow_one(store: Store, worker_id: WorkerId) -> None:
    await insert(store, *(a_new_job(queue="deep") for _ in range(200)))
    shallow = await inserted(store, queue="shallow", now=at(60))

    claimed = [job.id for _ in range(4) for job in await scan(store, worker_id, limit=10)]

    assert shallow in claimed


# ------------------------------------------------------------------------------ every way in is at the tail


async def _by_promotion_of_a_scheduled_job(store: Store, worker_id: WorkerId) -> JobId:
    job_id = await inserted(store, id=an_id_at(at(-9)), now=at(-9), run_at=at(5))
    await store.promote_due(10, at(20))
    return job_id


async def _by_promotion_of_a_retrying_job(store: Store, worker_id: WorkerId) -> JobId:
    job = await started(store, worker_id, id=an_id_at(at(-9)), now=at(-9))
    await settle(store, job.id, 1, Verb.RETRY, run_at=at(5))
    await store.promote_due(10, at(20))
    return job.id


async def _by_release(store: Store, worker_id: WorkerId) -> JobId:
    job = await started(store, worker_id, id=an_id_at(at(-9)), now=at(-9))
    await settle(store, job.id, 1, Verb.RELEASE, now=at(20))
    return job.id


async def _by_requeue(store: Store, worker_id: WorkerId) -> JobId:
    job = await started(store, worker_id, id=an_id_at(at(-9)), now=at(-9))
    await settle(store, job.id, 1, Verb.FAIL, now=at(5))
    await operate(store, Verb.REQUEUE, job.id, now=at(20))
    return job.id


async def _by_requeue_of_a_job_that_never_ran(store: Store, worker_id: WorkerId) -> JobId:
    job_id = await inserted(store, id=an_id_at(at(-9)), now=at(-9))
    await operate(store, Verb.CANCEL, job_id, now=at(5))
    await operate(store, Verb.REQUEUE, job_id, now=at(20))
    return job_id


@pytest.mark.parametrize(
    "enter",
    [
        _by_promotion_of_a_scheduled_job,
        _by_promotion_of_a_retrying_job,
        _by_release,
        _by_requeue,
        _by_requeue_of_a_job_that_never_ran,
    ],
)
async def test_whatever_enters_a_line_again_enters_at_its_tail(store: Store, worker_id: WorkerId, enter) -> None:  # type: ignore[no-untyped-def]
    again = await enter(store, worker_id)
    before = await inserted(store, now=at(19))
    after = await inserted(store, now=at(21))

    assert await in_order(store, worker_id) == [before, again, after]


async def test_a_claim_by_ids_is_answered_in_the_order_of_the_ids(store: Store, worker_id: WorkerId) -> None:
    ids = await insert(store, *(a_new_job() for _ in range(5)))
    asked = [ids[3], ids[0], ids[4], ids[1]]

    claimed = await claim(store, worker_id, *asked)

    assert [job.id for job in claimed] == asked
