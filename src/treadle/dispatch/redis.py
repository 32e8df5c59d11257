"""``RedisDispatch``: hints between processes, in Redis 7.0 or newer, or Valkey. The keys are listed in ``lines``.

What is popped and not delivered is lost on purpose, and so is what could not be pushed: every job is found by scan.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from treadle.dispatch.address import Address
from treadle.dispatch.lines import PROBE_LINES, hints_of, line_name, lines_in_turn
from treadle.dispatch.link import ANSWER_SECONDS, Away, Command, Link
from treadle.dispatch.local import LocalDispatch
from treadle.dispatch.reason import is_wrong_type
from treadle.dispatch.sparing import Sparing
from treadle.errors import Unavailable
from treadle.ids import JobId
from treadle.queue import DEFAULT_QUEUE, Priority
from treadle.telemetry.metrics import Metrics

logger = logging.getLogger("treadle.hints")

MAX_WAITING_HINTS = 100_000
"""Hints on their way to Redis. Beyond it they are dropped: whoever is so far behind is better served by scans."""
MAX_SPARE_HINTS = 1_000
"""Newest hints kept while Redis is away, for the moment it is back. Most are stale by then, and each costs an id in
a claim that matches nothing: enough for a restart, too few to stand in the way of fresh ones."""
PUSH_HINTS = 5_000
"""Hints of one flush: packing more of them would hold the loop for longer than some milliseconds."""
BLOCK_SECONDS = 5.0
"""One BLMPOP waits so long at most: in between, queues and hints that came another way are looked at, and a server that
fell silent is noticed. By default idle workers take no longer than this anyway (TREADLE_RECONCILE_SECONDS)."""
NAMES_SECONDS = 30.0
"""How old the list of queues' names may be. A queue that is not in it yet is found by scan; those of a worker's own
types are in it from the start."""
WRONG_SECONDS = 5.0
"""A list whose name is taken by something else is left out for so long."""

Line = tuple[str, Priority]
Hint = tuple[str, Priority, JobId]


class RedisDispatch:
    """Implements ``Dispatch``; lives on one loop.

    ``queue_names``: all queues there are (``Store.queue_names``). ``local``: where hints go, and are taken from,
    while Redis is away, so that one process alone stays as fast as without it.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "",
        queue_names: Callable[[], Awaitable[Sequence[str]]] | None = None,
        local: LocalDispatch | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Raises ``ValueError`` for a ``url`` that is no address of a Redis; it repeats nothing of it."""
        self._prefix = prefix
        self._hints = (metrics or Metrics()).hints
        self._link = Link(Address(url), [prefix + line for line in PROBE_LINES], self._link_changed)
        self._local = local if local is not None else LocalDispatch()
        self._queue_names = queue_names
        self._named: frozenset[str] = frozenset()
        self._announced: set[str] = {DEFAULT_QUEUE}
        self._naming: asyncio.Task[None] | None = None
        self._named_at: float | None = None
        self._waiting: deque[Hint] = deque()
        self._flying: list[Hint] = []
        self._spare: deque[Hint] = deque(maxlen=MAX_SPARE_HINTS)
        self._flushing: asyncio.Task[None] | None = None
        self._wrong_until: dict[str, float] = {}
        self._has_takers = False
        self._turn = 0
        self._closed = False
        self._sparing = Sparing(logger)
        self.dropped = 0
        """Hints that reached nobody: not Redis, and no worker of this process."""
        self.garbage = 0
        """Entries of the lists that were no ids."""

    def start(self) -> None:
        """Begin to reach Redis, without waiting for it; else the first hint or take does."""
        self._link.start()

    def announce(self, queue: str, priority: Priority, ids: Sequence[JobId]) -> None:
        """See ``Dispatch.announce``."""
        if self._closed or not ids:
            return
        self.start()
        self._announced.add(queue)
        self._hints.add(len(ids), "announced")
        hints = ((queue, priority, job_id) for job_id in ids)
        if self._link.is_away:
            self._keep_here(hints)
            return
        room = max(0, MAX_WAITING_HINTS - len(self._waiting))
        self._waiting.extend(hint for hint, _ in zip(hints, range(room), strict=False))
        self._drop(len(ids) - room)
        self._flush_soon()

    async def take(self, queues: Sequence[str] | None, limit: int, timeout_seconds: float) -> list[JobId]:
        """See ``Dispatch.take``. Comes back early, with nothing, when Redis was lost or found: then scan."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + timeout_seconds
        self._has_takers = True
        self._link.start()
        while not self._closed:
            left_seconds = max(0.0, give_up_at - loop.time())
            if ids := self._local.take_now(queues, limit):
                return ids
            if self._link.is_up and (lines := self._lines(queues)):
                try:
                    ids = await self._pop(lines, limit, min(left_seconds, BLOCK_SECONDS))
                except Away:
                    return []
                # Nothing but garbage is not nothing: more is popped, for a scan after each handful would be dear.
                if ids or loop.time() >= give_up_at:
                    return ids
            elif self._link.is_up or self._link.is_away:
                return await self._local.take(queues, limit, left_seconds)
            else:
                await self._link.first_verdict(left_seconds)
                if not left_seconds:
                    return []
        return []

    async def check(self) -> None:
        """See ``Dispatch.check``."""
        try:
            await self._link.check()
        except Away as away:
            raise Unavailable(str(away)) from None

    async def aclose(self) -> None:
        """See ``Dispatch.aclose``: what is on its way is sent first, where that takes no time to speak of."""
        self._closed = True
        if self._flushing is not None:
            await asyncio.wait((self._flushing,), timeout=ANSWER_SECONDS)
        await self._link.aclose()
        await self._local.aclose()
        tasks = [task for task in (self._flushing, self._naming) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -------------------------------------------------------------------------------------- pushing

    def _flush_soon(self) -> None:
        if self._waiting and (self._flushing is None or self._flushing.done()):
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """Push what waits, oldest first, as long as Redis takes it. One at a time, so that lines keep their order."""
        while self._link.is_up and self._waiting:
            hints = [self._waiting.popleft() for _ in range(min(PUSH_HINTS, len(self._waiting)))]
            lines = _by_line(hints)
            commands: list[Command] = [("RPUSH", self._key(*line), *ids) for line, ids in lines.items()]
            self._flying = hints
            try:
                replies = await self._link.ask(commands, ANSWER_SECONDS)
            except Away:
                # Whether they arrived nobody knows. Mostly the link is away by now and they were kept here already.
                self._waiting.extendleft(reversed(self._flying))
                self._flying = []
                continue
            self._flying = []
            for (line, ids), reply in zip(lines.items(), replies, strict=True):
                if not isinstance(reply, Exception):
                    continue
                self._hints.add(len(ids), "refused")
                if is_wrong_type(reply):
                    self._complain_of(self._key(*line))
                    self._hand_over(line, ids)
                else:
                    self._keep_here((*line, job_id) for job_id in ids)
                    self._link.refuse(reply)

    def _keep_here(self, hints: Iterable[Hint]) -> None:
        """For workers of this process, and a few for Redis when it is back."""
        kept = list(hints)
        excess = len(self._spare) + len(kept) - MAX_SPARE_HINTS
        self._spare.extend(kept)
        if not self._has_takers:
            self._drop(excess)
            return
        for line, ids in _by_line(kept).items():
            self._hand_over(line, ids)

    def _hand_over(self, line: Line, ids: Sequence[JobId]) -> None:
        if self._has_takers:
            self._local.announce(*line, ids)
        else:
            self._drop(len(ids))

    def _link_changed(self, is_up: bool) -> None:
        if is_up:
            self._waiting.extendleft(reversed(self._spare))
            self._spare.clear()
            self._flush_soon()
            self._local.poke()
        else:
            self._keep_here([*self._flying, *self._waiting])
            self._flying = []
            self._waiting.clear()

    def _drop(self, count: int) -> None:
        if count > 0:
            self.dropped += count
            self._hints.add(count, "dropped")
            message = "hints were dropped, %d so far; their jobs are found by scan"
            self._sparing.event("dropped", logging.WARNING, message, self.dropped)

    # --------------------------------------------------------------------------------------- taking

    def _key(self, queue: str, priority: Priority) -> str:
        return self._prefix + line_name(queue, priority)

    def _lines(self, queues: Sequence[str] | None) -> list[str]:
        if queues is None:
            self._renew_names()
            queues = sorted(self._named | self._announced)
        self._turn += 1
        lines = [self._prefix + line for line in lines_in_turn(queues, self._turn)]
        if self._wrong_until:
            now = asyncio.get_running_loop().time()
            self._wrong_until = {line: until for line, until in self._wrong_until.items() if until > now}
            lines = [line for line in lines if line not in self._wrong_until]
        return lines

    async def _pop(self, lines: Sequence[str], limit: int, wait_seconds: float) -> list[JobId]:
        # To BLMPOP a zero means for ever.
        wait = f"{max(wait_seconds, 0.001):.3f}"
        pop: Command = ("BLMPOP", wait, len(lines), *lines, "LEFT", "COUNT", limit)
        [reply] = await self._link.ask([pop], wait_seconds + ANSWER_SECONDS)
        if isinstance(reply, Exception):
            if is_wrong_type(reply) and await self._leave_out_wrong(lines):
                return []
            raise self._link.refuse(reply)
        if reply is None:
            return []
        entries: list[bytes] = reply[1]
        ids = hints_of(entries)
        if len(ids) < len(entries):
            self.garbage += len(entries) - len(ids)
            self._hints.add(len(entries) - len(ids), "garbage")
            message = "the lists in Redis hold entries that are no job ids, dropped %d so far"
            self._sparing.event("garbage", logging.WARNING, message, self.garbage)
        return ids

    async def _leave_out_wrong(self, lines: Sequence[str]) -> bool:
        """One wrong list makes BLMPOP refuse all of them: find it. It is not ours to delete."""
        types = await self._link.ask([("TYPE", line) for line in lines], ANSWER_SECONDS)
        wrong = [
            line
            for line, kind in zip(lines, types, strict=True)
            if isinstance(kind, bytes) and kind not in (b"list", b"none")
        ]
        until = asyncio.get_running_loop().time() + WRONG_SECONDS
        self._wrong_until |= dict.fromkeys(wrong, until)
        if wrong:
            self._complain_of(wrong[0])
        return bool(wrong)

    def _complain_of(self, line: str) -> None:
        message = "%s in Redis is no list, its hints are lost until somebody deletes it; its jobs are found by scan"
        self._sparing.event("wrong", logging.WARNING, message, line)

    def _renew_names(self) -> None:
        now = asyncio.get_running_loop().time()
        is_old = self._named_at is None or now - self._named_at >= NAMES_SECONDS
        if self._queue_names is not None and is_old:
            self._named_at = now
            if self._naming is None or self._naming.done():
                self._naming = asyncio.create_task(self._read_names(self._queue_names))

    async def _read_names(self, queue_names: Callable[[], Awaitable[Sequence[str]]]) -> None:
        with suppress(Unavailable):
            self._named = frozenset(await queue_names())


def _by_line(hints: Iterable[Hint]) -> dict[Line, list[JobId]]:
    lines: dict[Line, list[JobId]] = {}
    for queue, priority, job_id in hints:
        lines.setdefault((queue, priority), []).append(job_id)
    return lines
