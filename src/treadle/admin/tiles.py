"""Tiles: four questions and their answers: is anything stuck, failing, starved, held?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from treadle.admin.pulse import Point, Snapshot
from treadle.admin.wording import span, tally
from treadle.states import Status
from treadle.store.protocol import COUNT_CAP, QueueRecord

SLOW_SECONDS = 60.0
STUCK_SECONDS = 600.0


class Mood(StrEnum):
    """How worried to be."""

    GOOD = "good"
    WATCH = "watch"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Tile:
    """One question. ``answer`` is short and large, ``detail`` one sentence, ``href`` where to go on."""

    name: str
    question: str
    mood: Mood
    answer: str
    detail: str
    href: str


def tiles(snapshot: Snapshot, points: Sequence[Point]) -> tuple[Tile, ...]:
    """The four, in the order in which somebody on call asks."""
    return (_stuck(snapshot), _failing(snapshot, points), _starved(snapshot), _held(snapshot))


def waiting(queue: QueueRecord) -> int:
    """Jobs of ``queue`` that are ready to run."""
    return queue.high + queue.default


def is_served(name: str, snapshot: Snapshot) -> bool:
    """Whether any live worker takes from the queue ``name``."""
    return any(not worker.queues or name in worker.queues for worker in snapshot.workers)


def _stuck(snapshot: Snapshot) -> Tile:
    ages = [
        ((snapshot.at - queue.oldest_queued_at).total_seconds(), queue.name)
        for queue in snapshot.queues
        if queue.oldest_queued_at is not None and queue.paused_at is None
    ]
    href = "/admin/ui/queues"
    if not ages:
        return Tile("stuck", "Stuck?", Mood.GOOD, "No", "Nothing waits.", href)
    seconds, name = max(ages)
    mood = Mood.BAD if seconds >= STUCK_SECONDS else Mood.WATCH if seconds >= SLOW_SECONDS else Mood.GOOD
    answer = {Mood.BAD: "Yes", Mood.WATCH: "Slow", Mood.GOOD: "No"}[mood]
    return Tile("stuck", "Stuck?", mood, answer, f"The oldest has waited {span(max(seconds, 0))}, in {name}.", href)


def _failing(snapshot: Snapshot, points: Sequence[Point]) -> Tile:
    failed, retrying = snapshot.point.failed, snapshot.counts.get(Status.RETRYING, 0)
    is_counted = all(snapshot.counts.get(status, 0) < COUNT_CAP for status in (Status.FAILED, Status.DEAD))
    lately = failed - min((point.failed for point in points), default=failed)
    href = "/admin/ui/jobs?status=failed"
    if is_counted and lately > 0:
        detail = f"{lately:,} failed for good lately, {tally(retrying)} retrying."
        return Tile("failing", "Failing?", Mood.BAD, "Yes", detail, href)
    if retrying:
        href = "/admin/ui/jobs?status=retrying"
        return Tile("failing", "Failing?", Mood.WATCH, "Retrying", f"{tally(retrying)} wait for another attempt.", href)
    detail = f"None lately; {tally(failed)} from before." if failed else "No job has failed."
    return Tile("failing", "Failing?", Mood.GOOD, "No", detail, href)


def _starved(snapshot: Snapshot) -> Tile:
    unserved = [q.name for q in snapshot.queues if waiting(q) and not is_served(q.name, snapshot)]
    href = "/admin/ui/workers"
    if unserved:
        return Tile("starved", "Starved?", Mood.BAD, "Yes", f"No live worker serves {_names(unserved)}.", href)
    if not snapshot.workers:
        return Tile("starved", "Starved?", Mood.WATCH, "No workers", "Nothing waits, but nobody would work.", href)
    slots = sum(worker.concurrency for worker in snapshot.workers)
    busy = sum(worker.running for worker in snapshot.workers)
    if busy >= slots and any(waiting(queue) for queue in snapshot.queues):
        return Tile("starved", "Starved?", Mood.WATCH, "Full", f"All {slots:,} slots are busy, and jobs wait.", href)
    return Tile("starved", "Starved?", Mood.GOOD, "No", f"{busy:,} of {slots:,} slots busy.", href)


def _held(snapshot: Snapshot) -> Tile:
    paused = [queue for queue in snapshot.queues if queue.paused_at is not None]
    href = "/admin/ui/queues"
    if not paused:
        return Tile("held", "Held?", Mood.GOOD, "No", "No queue is paused.", href)
    held = sum(waiting(queue) for queue in paused)
    detail = f"{_names([q.name for q in paused])} paused, {tally(held)} waiting there."
    return Tile("held", "Held?", Mood.WATCH, "Paused", detail, href)


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
