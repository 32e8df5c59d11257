"""The pruner: what is past its retention goes, a batch at a time; files that count never do."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.builders import a_move
from tests.duties.conftest import Ground
from treadle.clock import wall_now
from treadle.duties.pruner import BUSY_SECONDS, IDLE_SECONDS, Pruner
from treadle.ids import JobId
from treadle.service import prune as prune_module
from treadle.states import Verb

DAY = 86_400.0
FIELDS = {
    "completed": "retention_completed_days",
    "failed": "retention_failed_days",
    "dead": "retention_dead_days",
    "cancelled": "retention_cancelled_days",
}


def keep(ground: Ground, **days: float) -> Pruner:
    """A pruner that keeps jobs for so many days, by status; others for ever."""
    kept = {field: days.get(status, 0) for status, field in FIELDS.items()}
    ground.runtime.settings = msgspec.structs.replace(ground.runtime.settings, **kept)
    return Pruner(ground.runtime)


async def ended(ground: Ground, status: str) -> JobId:
    """A job that has just ended in ``status``; its id is as old as its row."""
    job_id = await ground.insert(id=id_at(ground))
    if status == "cancelled":
        await ground.real_store.operate(Verb.CANCEL, [job_id], ground.clock.now())
        return job_id
    claimed = await ground.claimed_by(await ground.a_worker())
    members: dict[str, dict[str, Any]] = {
        "completed": {},
        "failed": {"verb": Verb.FAIL, "result": None, "error": "x"},
        "dead": {"verb": Verb.BURY, "result": None, "error": "x"},
    }
    move = a_move(job_id=claimed.id, attempt=claimed.attempt, **members[status])
    await ground.real_store.settle([move], ground.clock.now())
    return job_id


_numbers = iter(range(1, 1 << 30))


def id_at(ground: Ground) -> JobId:
    """A UUIDv7 of the clock's millisecond: the store bounds its walk by them."""
    digits = f"{int(ground.clock.now().timestamp() * 1000):012x}"
    return JobId(f"{digits[:8]}-{digits[8:]}-7000-8000-{next(_numbers):012x}")


async def left(ground: Ground, ids: list[JobId]) -> list[JobId]:
    found = await ground.real_store.get(ids)
    return [job_id for job_id in ids if job_id in found]


@pytest.mark.parametrize("status", FIELDS)
async def test_a_final_job_goes_when_its_days_are_over_and_not_before(ground: Ground, status: str) -> None:
    pruner = keep(ground, **{status: 2})
    job_id = await ended(ground, status)

    ground.clock.advance(2 * DAY - 1)
    await pruner.prune_once()
    assert await left(ground, [job_id]) == [job_id]

    ground.clock.advance(2)
    await pruner.prune_once()
    assert await left(ground, [job_id]) == []


async def test_zero_days_keep_for_ever_and_each_status_has_days_of_its_own(ground: Ground) -> None:
    pruner = keep(ground, completed=1)
    ids = [await ended(ground, status) for status in FIELDS]

    ground.clock.advance(3650 * DAY)
    await pruner.prune_once()

    assert await left(ground, ids) == ids[1:]


async def test_an_unfinished_job_never_goes(ground: Ground) -> None:
    pruner = keep(ground, completed=1, failed=1, dead=1, cancelled=1)
    running = await ground.insert(id=id_at(ground))
    await ground.claimed_by(await ground.a_worker())
    queued = await ground.insert(id=id_at(ground))
    scheduled = await ground.insert(id=id_at(ground), run_at=ground.clock.now() + timedelta(seconds=1))

    ground.clock.advance(365 * DAY)
    await pruner.prune_once()

    assert len(await left(ground, [running, queued, scheduled])) == 3


async def test_a_full_batch_is_followed_by_another_after_a_short_pause(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_module, "BATCH", 2)
    monkeypatch.setattr("treadle.duties.pruner.BATCH", 2)
    pruner = keep(ground, completed=1)
    ids = [await ended(ground, "completed") for _ in range(3)]
    ground.clock.advance(2 * DAY)

    assert await pruner.prune_once() == BUSY_SECONDS
    assert len(await left(ground, ids)) == 1
    assert await pruner.prune_once() == IDLE_SECONDS
    assert await left(ground, ids) == []


async def test_temporary_files_that_nobody_will_finish_go_and_published_ones_stay(ground: Ground) -> None:
    folder = ground.runtime.settings.output_dir
    stale = folder / ".a.csv.0123456789abcdef.tmp"
    fresh = folder / ".b.csv.0123456789abcdef.tmp"
    published = folder / "c.csv"
    for path in (stale, fresh, published):
        path.write_text("x")
    long_ago = (wall_now() - timedelta(hours=2)).timestamp()
    for path in (stale, published):
        os.utime(path, (long_ago, long_ago))

    await keep(ground).prune_once()

    assert sorted(folder.iterdir()) == sorted([fresh, published])
