"""The timeline: what a job did with its time, as stretches of waiting and of running."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.admin.wording import span
from treadle.job import MAX_KEPT_ERRORS, AttemptError, StoredJob
from treadle.states import UNFINISHED, Status

LEAST_PERCENT = 1.0
"""So that an attempt of a millisecond in a job of a day is seen."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One part of the line. ``kind``: ``wait``, ``run`` or ``fault``; ``left`` and ``width`` in percent of the line."""

    kind: str
    left: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The stretches, in order, and their sum in words."""

    stretches: tuple[Stretch, ...]
    words: str


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str
    label: str
    seconds: float


def timeline(job: StoredJob, errors: Sequence[AttemptError], now: datetime) -> Timeline:
    """From the row alone. ``errors``: oldest first; where as many as are kept, what was before them is not drawn.

    An attempt that left no error (it was snoozed or given back) stands as waiting.
    """
    parts = [part for part in _parts(job, errors, now) if part.seconds > 0]
    total = sum(part.seconds for part in parts)
    widths = [max(part.seconds / total * 100, LEAST_PERCENT) for part in parts]
    scale = 100 / sum(widths) if widths else 0.0
    stretches, left = [], 0.0
    for part, width in zip(parts, widths, strict=True):
        label = f"{part.label} {span(part.seconds)}"
        stretches.append(Stretch(part.kind, round(left, 3), round(width * scale, 3), label))
        left += width * scale
    waited = sum(part.seconds for part in parts if part.kind == "wait")
    return Timeline(tuple(stretches), f"Waited {span(waited)} and ran {span(total - waited)} in all.")


def _parts(job: StoredJob, errors: Sequence[AttemptError], now: datetime) -> Iterator[_Part]:
    runs = [(error.started_at, error.ended_at, "fault", f"attempt {error.attempt} failed after") for error in errors]
    if job.started_at is not None and (not runs or job.started_at > runs[-1][0]):
        if job.status is Status.PROCESSING:
            runs.append((job.started_at, now, "run", f"attempt {job.attempt} has run for"))
        elif job.finished_at is not None:
            runs.append((job.started_at, job.finished_at, "run", f"attempt {job.attempt} ran for"))
    at = runs[0][0] if len(errors) >= MAX_KEPT_ERRORS else job.created_at
    for start, end, kind, label in runs:
        yield _Part("wait", "waited", (start - at).total_seconds())
        yield _Part(kind, label, (end - start).total_seconds())
        at = end
    if job.status in UNFINISHED and job.status is not Status.PROCESSING:
        yield _Part("wait", "waits for", (now - at).total_seconds())
