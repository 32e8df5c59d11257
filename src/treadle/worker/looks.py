"""Looks: whether a beat asks for all that points to its worker, or only for what the worker holds. Pure, no I/O.

To find all of it, PostgreSQL walks over an entry of every job that this worker has run since the last vacuum, and no
vacuum takes them while anybody in the database has an older transaction open: 0.6 s after ten minutes of such a
transaction. What is named by its id costs the same for ever. All of it shows one thing more: jobs whose claim was never
answered. Whatever leaves one behind raises a doubt here; what is asked for without any is for what nobody thought of.
"""

from __future__ import annotations

LEASES_BETWEEN = 4
"""Without any doubt, everything is looked for this seldom: a minute, for a lease of 15 s."""


class Looks:
    """Of one identity. Times are rising seconds; the first look is for everything."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._due_at = float("-inf")
        self._doubted_at: float | None = None

    def doubt(self, now: float) -> None:
        """Something may point here unknown. What caused that may also commit late, so one look is not enough."""
        self._doubted_at = now

    def is_whole(self, now: float) -> bool:
        """Whether the look that is sent now is for everything."""
        return self._doubted_at is not None or now >= self._due_at

    def looked(self, sent_at: float) -> None:
        """A look for everything, sent then, was answered. It ends a doubt that is a lease old."""
        self._due_at = sent_at + LEASES_BETWEEN * self._lease_seconds
        if self._doubted_at is not None and sent_at - self._doubted_at >= self._lease_seconds:
            self._doubted_at = None
