"""Where scans begin: behind what the last ones have seen, so that they need not walk over what is long gone.

What was claimed leaves a dead entry at the head of its line's index until a vacuum, and no vacuum takes it while
anybody in the database has an older transaction open. From the head a scan walks over all of them: 80 to 140 ms at
30,000 jobs a second, seconds after minutes of such a transaction; from a mark it takes what it always does.

Nothing enters a line far behind its mark: ``queued_at`` is the moment of entering, by one clock for all. But a
commit may come late, a clock may be off, and a claim may be rolled back. So a mark stands back by ``SLACK``, and a
scan that finds too little from the marks looks at what is behind them, unless that was dear the last time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from treadle.queue import Priority

SLACK = timedelta(seconds=10)
"""A guess: longer than a submission may take, and than clocks of machines that keep time drift apart."""
CHEAP_SECONDS = 0.1
"""A look at everything that took less is made whenever a scan came back short."""
SHARE = 100
"""One that took longer is made again after so many times what it took: it costs a hundredth of the time at most."""
LONGEST_SECONDS = 120.0
"""And after this long in any case."""

Line = tuple[str, Priority]


class Marks:
    """The marks of one process. What it may not claim is not in its way: marks are of one set of types."""

    def __init__(self) -> None:
        self._marks: dict[Line, datetime] = {}
        self._types: frozenset[str] = frozenset()
        self._due_at = 0.0
        self._was_cheap = True

    def begin(self, types: Iterable[str], rising: float) -> Mapping[Line, datetime]:
        """Where the next scan for ``types`` is to begin; a line that is not in there, from its head."""
        if frozenset(types) != self._types or rising >= self._due_at:
            self._types = frozenset(types)
            self._marks = {}
        return dict(self._marks)

    def may_look_behind(self, rising: float) -> bool:
        """Whether a scan that came back short may look at everything now."""
        return rising >= self._due_at or self._was_cheap

    def looked_at_everything(self, began: float, ended: float) -> None:
        """A scan from the heads took from ``began`` to ``ended``, in rising seconds."""
        took = ended - began
        self._was_cheap = took < CHEAP_SECONDS
        self._due_at = ended + (LONGEST_SECONDS if self._was_cheap else min(LONGEST_SECONDS, SHARE * took))

    def saw(self, line: Line, queued_at: datetime) -> None:
        """A job of ``line`` that was queued then was claimed by a scan."""
        mark = queued_at - SLACK
        self._marks[line] = max(mark, self._marks.get(line, mark))
