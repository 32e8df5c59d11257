"""Group commit: items that arrive together are committed together, and nobody waits for a batch to fill.

An item is *waiting*, then *flushing*, then *known*. Only a waiting item can time out; a caller that goes away
takes nothing back. A flush starts as soon as the previous one is back, so one item alone pays no delay and a
thousand waiting ones share one commit (group commit: DeWitt et al., SIGMOD 1984).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

from treadle.errors import OutcomeUnknown, Overloaded, Unavailable, Unstorable

Item = TypeVar("Item")
Result = TypeVar("Result")

_RESEND_PAUSE_SECONDS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 2.0)
"""Pauses before a commit whose outcome is unknown is sent again: about 6 s in all, then its callers are told so."""
_EXPIRY_PAUSE_SECONDS = 0.05
"""Between two looks through all that waits: twenty thousand items with a moment each would else be twenty thousand."""


class _Call(Generic[Result]):
    """One caller's items: he waits for one future, however many they are."""

    __slots__ = ("answers", "future", "unknown")

    def __init__(self, count: int) -> None:
        self.answers: list[Result | Exception | None] = [None] * count
        self.unknown = count
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answer(self, index: int, answer: Result | Exception) -> None:
        self.answers[index] = answer
        self.unknown -= 1
        # Done already where the caller went away: that takes nothing back, and nobody else waits for this future.
        if not self.unknown and not self.future.done():
            self.future.set_result(None)


class _Entry(Generic[Item, Result]):
    __slots__ = ("call", "give_up_at", "index", "item", "size_bytes")

    def __init__(
        self, item: Item, size_bytes: int, call: _Call[Result], index: int, give_up_at: float = math.inf
    ) -> None:
        """``give_up_at``: on the loop's clock, from when on it is no longer to be sent."""
        self.item = item
        self.size_bytes = size_bytes
        self.call = call
        self.index = index
        self.give_up_at = give_up_at

    def answer(self, answer: Result | Exception) -> None:
        self.call.answer(self.index, answer)


class GroupCommit(Generic[Item, Result]):
    """Collects items for one kind of commit; every method runs on the loop that first used it.

    ``commit`` takes a batch and returns one result an item, in order. What it raises decides: ``Unstorable``
    halves the batch until the bad item stands alone, and only that item fails; ``OutcomeUnknown`` sends the
    same batch again; anything else is the answer of every item of the batch.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        max_items: int = 1000,
        max_bytes: int = 32 * 1024 * 1024,
        max_waiting_items: int = 20_000,
        max_waiting_bytes: int = 128 * 1024 * 1024,
        resending: Callable[[], None] = lambda: None,
    ) -> None:
        """``resending`` is called whenever a batch is sent again."""
        self._commit = commit
        self._resending = resending
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._max_waiting_items = max_waiting_items
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._waiting_bytes = 0
        self._flusher: asyncio.Task[None] | None = None
        # One for all that waits: a timer an item cost a tenth of what a whole request costs.
        self._expiry: asyncio.TimerHandle | None = None
        self._expiry_at = math.inf

    @property
    def waiting_items(self) -> int:
        """How many items no flush has taken yet."""
        return len(self._waiting)

    async def submit(self, item: Item, size_bytes: int = 0, *, timeout_seconds: float | None = None) -> Result:
        """Commit ``item`` with whatever else is waiting, and return its own result.

        Raises ``Overloaded`` at once when the queue is full, ``Unavailable`` when ``timeout_seconds`` passed
        while the item was still waiting (it was then never sent), ``Unstorable`` when its data was refused.
        """
        self._refuse_if_full(size_bytes)
        call: _Call[Result] = _Call(1)
        if timeout_seconds is None:
            self._enter(_Entry(item, size_bytes, call, 0))
        else:
            give_up_at = call.future.get_loop().time() + timeout_seconds
            self._enter(_Entry(item, size_bytes, call, 0, give_up_at))
            if give_up_at < self._expiry_at:
                self._expire_at(give_up_at)
        await call.future
        [answer] = call.answers
        if isinstance(answer, Exception):
            raise answer
        return cast("Result", answer)

    async def submit_all(self, items: Sequence[Item], sizes_bytes: Sequence[int]) -> list[Result | Exception]:
        """``submit`` for many at once, each with its own answer; what would be raised for one is its answer.

        A future for all of them: with one each, its callbacks cost more than the item's share of the commit.
        """
        if not items:
            return []
        try:
            self._refuse_if_full(sum(sizes_bytes))
        except Overloaded as error:
            return [error] * len(items)
        call: _Call[Result] = _Call(len(items))
        for index, (item, size_bytes) in enumerate(zip(items, sizes_bytes, strict=True)):
            self._enter(_Entry(item, size_bytes, call, index))
        await call.future
        return cast("list[Result | Exception]", call.answers)

    async def aclose(self) -> None:
        """Return when everything that was waiting is known."""
        while self._flusher is not None:
            await asyncio.wait((self._flusher,))

    def _refuse_if_full(self, size_bytes: int) -> None:
        # A single item over the byte cap is let in when it is alone: the body limit bounds it already.
        if len(self._waiting) >= self._max_waiting_items or (
            self._waiting and self._waiting_bytes + size_bytes > self._max_waiting_bytes
        ):
            raise Overloaded("too much is waiting to be stored; try again shortly")

    def _enter(self, entry: _Entry[Item, Result]) -> None:
        self._waiting.append(entry)
        self._waiting_bytes += entry.size_bytes
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_all())

    def _expire_at(self, moment: float) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        loop = asyncio.get_running_loop()
        self._expiry_at = moment
        self._expiry = loop.call_later(moment - loop.time(), self._expire)

    def _expire(self) -> None:
        """Refuse what waited too long. Whose caller went away is not refused: it is committed all the same."""
        now = asyncio.get_running_loop().time()
        self._expiry, self._expiry_at = None, math.inf
        staying: deque[_Entry[Item, Result]] = deque()
        next_at = math.inf
        for entry in self._waiting:
            if entry.give_up_at > now or entry.call.future.done():
                staying.append(entry)
                next_at = min(next_at, entry.give_up_at)
                continue
            self._waiting_bytes -= entry.size_bytes
            entry.answer(Unavailable("the store did not take this in time; nothing was stored"))
        self._waiting = staying
        if next_at < math.inf:
            self._expire_at(max(next_at, now + _EXPIRY_PAUSE_SECONDS))

    async def _flush_all(self) -> None:
        batch: list[_Entry[Item, Result]] = []
        try:
            while self._waiting:
                batch = self._next_batch()
                await self._flush(batch)
        except BaseException:
            # The loop is ending. What was sent may have been applied; what was waiting surely was not.
            _answer_with_error(batch, OutcomeUnknown("stopped while storing"))
            _answer_with_error(self._waiting, Unavailable("stopped before this was stored"))
            self._waiting.clear()
            self._waiting_bytes = 0
            raise
        finally:
            self._flusher = None

    def _next_batch(self) -> list[_Entry[Item, Result]]:
        batch: list[_Entry[Item, Result]] = []
        total_bytes = 0
        while self._waiting and len(batch) < self._max_items:
            size_bytes = self._waiting[0].size_bytes
            if batch and total_bytes + size_bytes > self._max_bytes:
                break
            entry = self._waiting.popleft()
            total_bytes += size_bytes
            batch.append(entry)
        self._waiting_bytes -= total_bytes
        return batch

    async def _flush(self, batch: list[_Entry[Item, Result]]) -> None:
        try:
            results = await self._commit_surely([entry.item for entry in batch])
            answered = list(zip(batch, results, strict=True))
        except Unstorable as error:
            if len(batch) == 1:
                _answer_with_error(batch, error)
                return
            middle = len(batch) // 2
            await self._flush(batch[:middle])
            await self._flush(batch[middle:])
        except Exception as error:
            _answer_with_error(batch, error)
        else:
            for entry, result in answered:
                entry.answer(result)

    async def _commit_surely(self, items: list[Item]) -> Sequence[Result]:
        """Send again while the outcome is unknown; commits are idempotent by their ids."""
        unknown: OutcomeUnknown | None = None
        for pause_seconds in (*_RESEND_PAUSE_SECONDS, None):
            try:
                return await self._commit(items)
            except OutcomeUnknown as error:
                unknown = error
            except Unavailable:
                # This sending surely did nothing, but an earlier one may have: a restarting server cuts a commit
                # off and then refuses connections for a while.
                if unknown is None:
                    raise
            if pause_seconds is not None:
                await asyncio.sleep(pause_seconds)
                self._resending()
        assert unknown is not None  # noqa: S101  (the loop ends here only after an unknown outcome)
        raise unknown


def _answer_with_error(batch: Sequence[_Entry[Item, Result]], error: Exception) -> None:
    for entry in batch:
        entry.answer(error)
