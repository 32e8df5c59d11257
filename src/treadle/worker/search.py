"""Search: whether a worker's next claim goes by hints or by scan. Pure bookkeeping, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from treadle.ids import JobId
from treadle.job import ClaimedJob
from treadle.queue import Priority

PROBE_EVERY = 16
"""Of the scans of a long line so many in a row; then hints are looked at once, without waiting for any."""

MEMORY_SECONDS = 1.0
"""What hints brought is remembered for this long, and up to twice as long: a hint that another worker has taken is its
claim by then."""

Line = tuple[str, Priority]
Place = tuple[datetime, JobId]
"""In a line: when a job was queued, and its id among those of the same moment."""
Places = dict[Line, Place]
"""Of each line, that of the oldest of some jobs."""


_BEHIND_ALL: Place = (datetime.max.replace(tzinfo=UTC), JobId(""))


class Search:
    """Scans find everything, oldest first, and cost the store nearly twice of what a claim by id does. And they take
    jobs whose hints somebody else has in his hand: his claim waits for this one, and comes back empty.

    So a scan that came back full is followed by another one only where what it found had lost its hints. Where they are
    whole, lines are worked off in their order, and a scan meets what lies at their head: nothing that is older than
    what hints have brought lately. Where all that is known is the scan itself, the hints that come next tell: for jobs
    which that scan took, or somebody else did, they are whole; where all are new, they stand behind jobs without hints.
    """

    def __init__(self, reconcile_seconds: float) -> None:
        self._reconcile_seconds = reconcile_seconds
        self._scanned_at = float("-inf")
        self._full_scans = 0
        self._found: frozenset[JobId] = frozenset()
        self._scans_on = True
        self._hinted: Places = {}
        self._hinted_before: Places = {}
        self._hinted_since = float("-inf")

    def is_due(self, now: float) -> bool:
        """Whether a scan is next, ``now`` in rising seconds, whatever hints there are."""
        return now - self._scanned_at >= self._reconcile_seconds or (self._scans_on and not self.is_probing)

    @property
    def is_probing(self) -> bool:
        """Whether hints are to be looked at in between, without waiting; with none there, it is a scan's turn."""
        return self._scans_on and self._full_scans % PROBE_EVERY == 1

    def scanned(self, found: Sequence[ClaimedJob], limit: int, now: float) -> None:
        """A scan for ``limit`` jobs came back."""
        self._scanned_at = now
        self._forget(now)
        self._scans_on = len(found) == limit and self._are_left_behind(found)
        self._full_scans = self._full_scans + 1 if self._scans_on else 0
        self._found = frozenset(job.id for job in found) if self._scans_on else frozenset()

    def hinted(self, hints: Sequence[JobId], claimed: Sequence[ClaimedJob], now: float) -> None:
        """A claim by ``hints`` came back with these jobs."""
        self._forget(now)
        _keep_oldest(self._hinted, claimed)
        if not self._scans_on:
            return
        if len(claimed) < len(hints) or not self._found.isdisjoint(hints):
            self._scans_on = False
        else:
            self._full_scans += 1

    def _are_left_behind(self, found: Sequence[ClaimedJob]) -> bool:
        oldest: Places = {}
        _keep_oldest(oldest, found)
        brought = (self._hinted, self._hinted_before)
        return any(place < min(places.get(line, _BEHIND_ALL) for places in brought) for line, place in oldest.items())

    def _forget(self, now: float) -> None:
        if now - self._hinted_since >= MEMORY_SECONDS:
            is_recent = now - self._hinted_since < 2 * MEMORY_SECONDS
            self._hinted_before = self._hinted if is_recent else {}
            self._hinted, self._hinted_since = {}, now


def _keep_oldest(places: Places, jobs: Sequence[ClaimedJob]) -> None:
    for job in jobs:
        line, place = (job.queue, job.priority), (job.queued_at, job.id)
        known = places.get(line)
        if known is None or place < known:
            places[line] = place
