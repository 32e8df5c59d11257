"""Search: whether a worker's next claim goes by hints or by scan. Pure bookkeeping, no I/O."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from treadle.ids import JobId

PROBE_EVERY = 16
"""Of the scans of a long line so many in a row; then hints are looked at once, without waiting for any."""


class Search:
    """Scans find everything, oldest first, and cost the store nearly twice of what a claim by id does.

    So a scan that came back full is followed by another one only where what it found had lost its hints. That shows
    in the hints that come next: where they stand for jobs which that scan took, or somebody else did, the lists are
    whole from there on, and claims go by them; where all of them are new, they stand behind jobs without hints.
    """

    def __init__(self, reconcile_seconds: float) -> None:
        self._reconcile_seconds = reconcile_seconds
        self._scanned_at = float("-inf")
        self._full_scans = 0
        self._found: frozenset[JobId] = frozenset()
        self._scans_on = True

    def is_due(self, now: float) -> bool:
        """Whether a scan is next, ``now`` in rising seconds, whatever hints there are."""
        return now - self._scanned_at >= self._reconcile_seconds or (self._scans_on and not self.is_probing)

    @property
    def is_probing(self) -> bool:
        """Whether hints are to be looked at in between, without waiting; with none there, it is a scan's turn."""
        return self._scans_on and self._full_scans % PROBE_EVERY == 1

    def scanned(self, found: Collection[JobId], limit: int, now: float) -> None:
        """A scan for ``limit`` jobs came back."""
        self._scanned_at = now
        self._scans_on = len(found) == limit
        self._full_scans = self._full_scans + 1 if self._scans_on else 0
        self._found = frozenset(found) if self._scans_on else frozenset()

    def hinted(self, hints: Sequence[JobId], claimed: int) -> None:
        """A claim by ``hints`` came back with so many jobs."""
        if not self._scans_on:
            return
        if claimed < len(hints) or not self._found.isdisjoint(hints):
            self._scans_on = False
        else:
            self._full_scans += 1
