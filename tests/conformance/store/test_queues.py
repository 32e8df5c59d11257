"""Queues: which there are, how deep they stand, and pausing them."""

from __future__ import annotations

import pytest

from tests.builders import a_new_job
from tests.conformance.steps import at, claim, insert, inserted, operate, settle, started
from treadle.ids import WorkerId
from treadle.queue import Priority
from treadle.states import Verb
from treadle.store.protocol import QueueRecord, Store


def an_empty_queue(name: str) -> QueueRecord:
    return QueueRecord(
        name=name, paused_at=None, high=0, default=0, processing=0, oldest_high_at=None, oldest_default_at=None
    )


async def queue_of(store: Store, name: str) -> QueueRecord:
    [queue] = [queue for queue in await store.queues() if queue.name == name]
    return queue


async def test_a_new_database_has_no_queue(store: Store) -> None:
    assert await store.queues() == []


async def test_declared_queues_are_listed_by_name_before_anything_is_in_them(store: Store) -> None:
    await store.declare_queues(["c", "a", "b", "a"])
    await store.declare_queues(["b", "d"])
    await store.declare_queues([])

    assert await store.queues() == [an_empty_queue(name) for name in "abcd"]


async def test_the_names_alone_are_those_of_all_declared_queues_in_order(store: Store) -> None:
    assert await store.queue_names() == []
    await store.declare_queues(["c", "a"])
    await inserted(store, queue="b", run_at=at(60))

    assert await store.queue_names() == ["a", "b", "c"]


async def test_the_queue_of_a_job_is_declared_with_it(store: Store) -> None:
    await inserted(store, queue="reports", run_at=at(60))

    assert await store.queues() == [an_empty_queue("reports")]


async def test_a_queue_tells_its_depths_its_running_jobs_and_its_oldest(store: Store, worker_id: WorkerId) -> None:
    await inserted(store, now=at(3), queue="a", priority=Priority.HIGH)
    await inserted(store, now=at(2.000001), queue="a")
    await inserted(store, now=at(4), queue="a")
    await inserted(store, now=at(1), queue="b")
    await started(store, worker_id, queue="a")

    a, b = await store.queues()

    assert a == QueueRecord(
        name="a",
        paused_at=None,
        high=1,
        default=2,
        processing=1,
        oldest_high_at=at(3),
        oldest_default_at=at(2.000001),
    )
    assert a.oldest_queued_at == at(2.000001)
    assert (b.name, b.high, b.default, b.processing, b.oldest_queued_at) == ("b", 0, 1, 0, at(1))


async def test_only_queued_and_running_jobs_count(store: Store, worker_id: WorkerId) -> None:
    await inserted(store, run_at=at(60))
    retrying, failed = [await started(store, worker_id) for _ in range(2)]
    await settle(store, retrying.id, 1, Verb.RETRY)
    await settle(store, failed.id, 1, Verb.FAIL)
    await operate(store, Verb.CANCEL, await inserted(store))

    assert await store.queues() == [an_empty_queue("default")]


async def test_a_paused_queue_tells_since_when_and_still_its_depth(store: Store) -> None:
    await inserted(store, queue="a")

    assert await store.set_paused("a", at(5.000001)) is True

    queue = await queue_of(store, "a")
    assert (queue.paused_at, queue.default) == (at(5.000001), 1)


async def test_pausing_again_keeps_the_first_moment(store: Store) -> None:
    await store.declare_queues(["a"])
    await store.set_paused("a", at(5))

    assert await store.set_paused("a", at(9)) is True

    assert (await queue_of(store, "a")).paused_at == at(5)


async def test_a_resumed_queue_can_be_paused_again(store: Store) -> None:
    await store.declare_queues(["a"])
    await store.set_paused("a", at(5))

    assert await store.set_paused("a", None) is True
    assert (await queue_of(store, "a")).paused_at is None
    assert await store.set_paused("a", None) is True
    await store.set_paused("a", at(9))

    assert (await queue_of(store, "a")).paused_at == at(9)


@pytest.mark.parametrize("moment", [at(5), None])
async def test_a_queue_nobody_declared_cannot_be_paused_or_resumed(store: Store, moment: object) -> None:
    await store.declare_queues(["a"])

    assert await store.set_paused("b", moment) is False  # type: ignore[arg-type]

    assert await store.queues() == [an_empty_queue("a")]


async def test_declaring_a_paused_queue_does_not_resume_it(store: Store, worker_id: WorkerId) -> None:
    await store.declare_queues(["a"])
    await store.set_paused("a", at(5))

    await store.declare_queues(["a"])
    [job_id] = await insert(store, a_new_job(queue="a"))

    assert (await queue_of(store, "a")).paused_at == at(5)
    assert await claim(store, worker_id, job_id) == []


async def test_pausing_one_queue_pauses_no_other(store: Store, worker_id: WorkerId) -> None:
    await store.declare_queues(["a", "b"])
    await store.set_paused("a", at(5))

    assert (await queue_of(store, "b")).paused_at is None


async def test_pausing_leaves_running_jobs_alone(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id, queue="a")
    await store.set_paused("a", at(5))

    settled = await settle(store, job.id, 1, Verb.COMPLETE)

    assert settled.status is not None
