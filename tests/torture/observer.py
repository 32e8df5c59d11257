"""Watches a run from beside it: a line every few seconds, and every published file as soon as it is there."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.torture.mailsink import MailSink
from tests.torture.nemesis import Nemesis
from tests.torture.orders import Orders
from tests.torture.rungs import Query
from tests.torture.stopping import Stop
from tests.torture.submitters import Submitters
from tests.torture.verdict import torn

Say = Callable[[str], None]

_PATIENCE_SECONDS = 60.0
"""Without one more job completed, once nothing is done to anybody any more: then it is stuck."""


class Observer:
    """``torn``: what was wrong with files at the moment they were first seen."""

    def __init__(self, orders: Orders, output: Path, query: Query, say: Say) -> None:
        self._orders = orders
        self._output = output
        self._query = query
        self._say = say
        self._seen: set[str] = set()
        self._begin = time.monotonic()
        self.torn: list[str] = []
        self.counts: Counter[str] = Counter()

    async def watch(self, submitters: Submitters, nemesis: Nemesis, sink: MailSink, stop: Stop) -> None:
        """Until the stop."""
        while True:
            for _ in range(10):
                if await stop.within(0.2):
                    return
                self.torn += await asyncio.to_thread(self._read_new_files)
            await self._count()
            seconds = time.monotonic() - self._begin
            faults = " ".join(f"{kind.replace(' ', '-')}:{count}" for kind, count in sorted(nemesis.done.items()))
            self._say(
                f"{seconds:5.0f} s  acked {len(submitters.acked)}  {self._told()}  mails {sink.deeds['taken']} "
                f"(cut after the dot {sink.deeds['cut after the dot']})  faults {faults or 'none yet'}"
            )

    async def calm(self, stop: Stop) -> bool:
        """Wait until no job is open; ``False`` where that will not come."""
        moved_at, before = time.monotonic(), -1
        while time.monotonic() - moved_at < _PATIENCE_SECONDS:
            await self._count()
            completed = self.counts["completed"]
            if completed and completed == self.counts.total():
                return True
            if completed > before:
                moved_at, before = time.monotonic(), completed
            if await stop.within(0.5):
                return False
        return False

    async def _count(self) -> None:
        try:
            rows = await asyncio.to_thread(self._query, "SELECT status, count(*) FROM jobs GROUP BY status")
            self.counts = Counter({str(status): int(count) for status, count in rows})
        except OSError:
            self.counts = Counter()  # the database is away: that is what is being tried

    def _read_new_files(self) -> list[str]:
        names = {name for name in os.listdir(self._output) if name.endswith(".csv")} - self._seen
        self._seen |= names
        found = (torn(self._orders, self._output / name) for name in names)
        return [why for why in found if why is not None]

    def _told(self) -> str:
        if not self.counts:
            return "the database does not answer"
        return "  ".join(f"{status} {count}" for status, count in sorted(self.counts.items()))
