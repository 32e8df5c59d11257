"""When a look that walks over dead index entries is made again: the dearer it was, the more rarely."""

from __future__ import annotations

from treadle.store.postgres.marks import LONGEST_SECONDS, SHARE


class Pace:
    """Of one look of one process. Times are rising seconds."""

    def __init__(self, cheap_seconds: float = 0.0) -> None:
        """``cheap_seconds``: a look that took less may be made at any time."""
        self._cheap_seconds = cheap_seconds
        self._due_at = float("-inf")

    def is_due(self, now: float) -> bool:
        """Whether the look may be made now."""
        return now >= self._due_at

    def looked(self, began: float, ended: float) -> None:
        """The look was made, or given up, in that time."""
        took = ended - began
        self._due_at = ended + (0.0 if took < self._cheap_seconds else min(LONGEST_SECONDS, SHARE * took))
