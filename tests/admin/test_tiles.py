"""The four answers: good, worrying, bad."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.builders import NOW, a_worker
from treadle.admin.pulse import Point, Snapshot
from treadle.admin.tiles import Mood, Tile, tiles
from treadle.states import Status
from treadle.store.protocol import COUNT_CAP, QueueRecord, WorkerRecord

_NOTHING = {"oldest_high_at": None, "oldest_default_at": None}


def a_queue(name: str = "default", **members: Any) -> QueueRecord:
    empty: dict[str, Any] = {"paused_at": None, "high": 0, "default": 0, "processing": 0, **_NOTHING}
    return QueueRecord(name=name, **{**empty, **members})


def waiting(seconds: float, name: str = "default", **members: Any) -> QueueRecord:
    since: datetime = NOW - timedelta(seconds=seconds)
    return a_queue(name, **{"default": 1, "oldest_default_at": since, **members})


def tile(
    name: str,
    *queues: QueueRecord,
    workers: tuple[WorkerRecord, ...] = (a_worker(),),
    counts: dict[Status, int] | None = None,
    points: tuple[Point, ...] = (),
) -> Tile:
    snapshot = Snapshot(NOW, 1, counts or {}, queues, workers)
    return next(tile for tile in tiles(snapshot, points) if tile.name == name)


def test_a_queue_is_stuck_when_its_oldest_job_has_waited_long() -> None:
    assert tile("stuck").mood is Mood.GOOD
    assert tile("stuck", waiting(59)).mood is Mood.GOOD
    assert tile("stuck", waiting(61)).mood is Mood.WATCH
    bad = tile("stuck", waiting(5, "quick"), waiting(601, "slow"))
    assert bad.mood is Mood.BAD
    assert "10 min" in bad.detail
    assert "in slow" in bad.detail


def test_a_paused_queue_is_held_and_not_stuck() -> None:
    paused = waiting(9000, paused_at=NOW)

    assert tile("stuck", paused).mood is Mood.GOOD
    held = tile("held", paused)
    assert held.mood is Mood.WATCH
    assert "default paused, 1 waiting" in held.detail


def test_failing_is_what_failed_lately_and_not_what_failed_last_year() -> None:
    def failing(before: int, **counts: int) -> Tile:
        point = Point(at=0.0, waiting=0, running=0, failed=before)
        return tile("failing", counts={Status(name): n for name, n in counts.items()}, points=(point,))

    assert failing(0).mood is Mood.GOOD
    assert failing(7, failed=5, dead=2).mood is Mood.GOOD
    assert failing(5, failed=5, dead=2).mood is Mood.BAD
    assert "2 failed for good lately" in failing(5, failed=5, dead=2).detail
    assert failing(0, retrying=1).mood is Mood.WATCH
    # A count that stopped at its cap tells nothing about lately.
    assert failing(COUNT_CAP - 1, failed=COUNT_CAP).mood is Mood.GOOD


def test_a_queue_is_starved_when_jobs_wait_and_no_worker_serves_it() -> None:
    images = a_worker(queues=("images",))

    assert tile("starved", waiting(1), workers=(a_worker(queues=()),)).mood is Mood.GOOD
    assert tile("starved", waiting(1, "images"), workers=(images,)).mood is Mood.GOOD
    assert tile("starved", a_queue(), workers=(images,)).mood is Mood.GOOD
    bad = tile("starved", waiting(1), workers=(images,))
    assert bad.mood is Mood.BAD
    assert "No live worker serves default" in bad.detail
    assert tile("starved", waiting(1), workers=()).mood is Mood.BAD
    assert tile("starved", workers=()).mood is Mood.WATCH


def test_full_slots_are_worth_a_look_only_where_jobs_wait() -> None:
    full = (a_worker(concurrency=2, running=2),)

    assert tile("starved", workers=full).mood is Mood.GOOD
    assert tile("starved", waiting(1), workers=full).mood is Mood.WATCH
