"""The promoter: what is due enters its line, is announced, and the next look is not later than the next job."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from tests.duties.conftest import Ground
from treadle.duties.promoter import Promoter
from treadle.errors import Unavailable
from treadle.ids import JobId
from treadle.queue import Priority
from treadle.service.promote import BATCH
from treadle.states import Status

POLL = 1.0


@pytest.fixture
def promoter(ground: Ground) -> Promoter:
    return Promoter(ground.runtime)


async def in_seconds(ground: Ground, seconds: float) -> JobId:
    return await ground.insert(run_at=ground.clock.now() + timedelta(seconds=seconds))


async def test_a_job_is_not_promoted_a_moment_before_its_time(ground: Ground, promoter: Promoter) -> None:
    job_id = await in_seconds(ground, 10)

    ground.clock.advance(9.999999)
    await promoter.promote_once()
    assert (await ground.job(job_id)).status is Status.SCHEDULED

    ground.clock.advance(0.000001)
    await promoter.promote_once()
    job = await ground.job(job_id)
    assert (job.status, job.queued_at, job.run_at) == ("queued", ground.clock.now(), None)


async def test_what_is_promoted_is_announced_to_its_own_line(ground: Ground, promoter: Promoter) -> None:
    high = await ground.insert(run_at=ground.clock.now(), priority=Priority.HIGH)
    other = await ground.insert(run_at=ground.clock.now(), queue="images")
    await in_seconds(ground, 60)

    await promoter.promote_once()

    assert set(ground.dispatch.announced) == {
        ("default", Priority.HIGH, high),
        ("images", Priority.DEFAULT, other),
    }
    assert (await ground.real_store.counts())[Status.SCHEDULED] == 1


@pytest.mark.parametrize(("due_in", "pause"), [(0.25, 0.25), (5, POLL), (None, POLL)])
async def test_the_next_look_is_when_the_next_job_is_due_or_a_poll_later(
    ground: Ground, promoter: Promoter, due_in: float | None, pause: float
) -> None:
    if due_in is not None:
        await in_seconds(ground, due_in)

    assert await promoter.promote_once() == pytest.approx(pause, abs=1e-5)


async def test_a_full_batch_is_followed_by_the_next_one_at_once_and_the_earliest_go_first(
    ground: Ground, promoter: Promoter
) -> None:
    late = [await in_seconds(ground, 2) for _ in range(2)]
    await ground.insert_many(BATCH - 1, run_at=ground.clock.now() + timedelta(seconds=1))
    ground.clock.advance(10)

    assert await promoter.promote_once() == 0.0
    counts = await ground.real_store.counts()
    assert (counts[Status.QUEUED], counts[Status.SCHEDULED]) == (BATCH, 1)

    assert await promoter.promote_once() == POLL
    assert len(ground.dispatch.announced) == BATCH + 1
    assert late[1] == ground.dispatch.announced[-1][2]


async def test_two_promoters_announce_a_job_once(ground: Ground, promoter: Promoter) -> None:
    await ground.insert(run_at=ground.clock.now())

    await promoter.promote_once()
    await Promoter(ground.runtime).promote_once()

    assert len(ground.dispatch.announced) == 1


async def test_an_outage_is_told_to_the_loop(ground: Ground, promoter: Promoter) -> None:
    ground.store.refuse("promote_due")

    with pytest.raises(Unavailable):
        await promoter.promote_once()


@pytest.mark.parametrize(("workers", "pause"), [(0, POLL), (1, POLL), (5, POLL), (15, 3 * POLL), (100, 5.0)])
async def test_where_many_look_each_looks_less_often(ground: Ground, workers: int, pause: float) -> None:
    ground.runtime.settings = msgspec.structs.replace(ground.runtime.settings, reconcile_seconds=5.0)
    promoter = Promoter(ground.runtime, lambda: workers)

    assert await promoter.promote_once() == pause

    await in_seconds(ground, 0.5)
    assert await promoter.promote_once() == 0.5
