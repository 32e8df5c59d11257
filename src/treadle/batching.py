"""Group commit: items that arrive together are committed together, and nobody waits for a batch to fill.

An item is *waiting*, then *flushing*, then *known*. Only a waiting item can time out; a caller that goes away
takes nothing back. A flush starts as soon as the previous one is back, so one item alone pays no delay and a
thousand waiting ones share one commit (group commit: DeWitt et al., SIGMOD 1984).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from treadle.errors import OutcomeUnknown, Overloaded, Unavailable, Unstorable

Item = TypeVar("Item")
Result = TypeVar("Result")

_RESEND_PAUSE_SECONDS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 2.0)
"""Pauses before a commit whose outcome is unknown is sent again: about 6 s in all, then its callers are told so."""


class _Entry(Generic[Item, Result]):
    __slots__ = ("flushing", "future", "item", "size_bytes")

    def __init__(self, item: Item, size_bytes: int, future: asyncio.Future[Result]) -> None:
        self.item = item
        self.size_bytes = size_bytes
        self.future = future
        self.flushing = False


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

    @property
    def waiting_items(self) -> int:
        """How many items no flush has taken yet."""
        return len(self._waiting)

    async def submit(self, item: Item, size_bytes: int = 0, *, timeout_seconds: float | None = None) -> Result:
        """Commit ``item`` with whatever else is waiting, and return its own result.

        Raises ``Overloaded`` at once when the queue is full, ``Unavailable`` when ``timeout_seconds`` passed
        while the item was still waiting (it was then never sent), ``Unstorable`` when its data was refused.
        """
        if self._is_full(size_bytes):
            raise Overloaded("too much is waiting to be stored; try again shortly")
        entry: _Entry[Item, Result] = _Entry(item, size_bytes, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._waiting_bytes += size_bytes
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_all())
        # Shielded: a caller that is cancelled (a client that disconnects) must not cancel what others share.
        if timeout_seconds is None:
            return await asyncio.shield(entry.future)
        done, _ = await asyncio.wait((entry.future,), timeout=timeout_seconds)
        if not done and not entry.flushing:
            self._waiting.remove(entry)
            self._waiting_bytes -= size_bytes
            raise Unavailable("the store did not take this in time; nothing was stored")
        return await asyncio.shield(entry.future)

    async def aclose(self) -> None:
        """Return when everything that was waiting is known."""
        while self._flusher is not None:
            await asyncio.wait((self._flusher,))

    def _is_full(self, size_bytes: int) -> bool:
        # A single item over the byte cap is let in when it is alone: the body limit bounds it already.
        return len(self._waiting) >= self._max_waiting_items or (
            bool(self._waiting) and self._waiting_bytes + size_bytes > self._max_waiting_bytes
        )

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
            entry.flushing = True
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
                if not entry.future.done():
                    entry.future.set_result(result)

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
        if not entry.future.done():
            entry.future.set_exception(error)
            # Nobody may be left to read it (the caller disconnected): that is no loop error.
            entry.future.exception()
