"""Time (S5): a store reads a clock in ``anchor`` only, and all who ask count from one line of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.builders import a_key, a_submission
from tests.conformance.conftest import AnotherStore
from tests.conformance.steps import a_worker_in, claim, crash, read
from treadle.clock import Anchor, AnchoredClock
from treadle.ids import WorkerId
from treadle.states import Status
from treadle.store.protocol import Expiry, Store

FAR_APART = [datetime(1971, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]


def drift_seconds(one: Anchor, other: Anchor) -> float:
    """By how much two anchors disagree about any one moment."""
    return abs((one.wall - other.wall).total_seconds() - (one.rising - other.rising))


async def test_an_anchor_is_an_aware_moment_in_utc(store: Store) -> None:
    assert (await store.anchor()).wall.utcoffset() == timedelta(0)


async def test_all_anchors_lie_on_one_line_of_time(store: Store, another_store: AnotherStore) -> None:
    anchors = [await asked.anchor() for asked in (store, await another_store(), store)]

    assert max(drift_seconds(anchors[0], anchor) for anchor in anchors) < 1


async def test_a_clock_on_an_anchor_does_not_fall(store: Store) -> None:
    clock = AnchoredClock()
    clock.set_anchor(await store.anchor())
    before = clock.now()
    clock.set_anchor(await store.anchor())

    assert clock.now() > before - timedelta(seconds=1)


async def test_a_store_that_can_be_read_and_written_answers_a_ping(store: Store) -> None:
    await store.ping()


async def test_whatever_the_year_a_store_takes_it_from_its_caller(store: Store) -> None:
    for now in FAR_APART:
        worker_id: WorkerId = await a_worker_in(store, started_at=now, beat_at=now)
        unit = a_submission(run_at=now, key=a_key(key=str(now.year), expires_at=now + timedelta(days=1)))
        job_id = unit.jobs[0].id
        await store.insert([unit], now)
        assert (await read(store, job_id)).run_at == now

        assert [hint.job_id for hint in (await store.promote_due(10, now)).hints] == [job_id]
        [job] = await claim(store, worker_id, job_id, now=now)
        await store.beat(worker_id, 1, now)
        await crash(store, job, now=now, run_at=now + timedelta(seconds=1))

        stored = await read(store, job_id)
        assert (job.started_at, stored.updated_at, stored.status) == (now, now, Status.RETRYING)
        assert {worker.beat_at for worker in await store.workers() if worker.id == worker_id} == {now}
        assert await store.prune([Expiry(Status.FAILED, now)], 10, now) == {}
        await store.promote_due(10, now + timedelta(seconds=1))
