"""Runner: the claim loop, the slots, and the way every attempt takes through them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from treadle.errors import LeaseLost, Unavailable
from treadle.ids import JobId
from treadle.job import ClaimedJob
from treadle.outcome import Failed, Outcome, Succeeded
from treadle.service.claim import claim
from treadle.service.runtime import Runtime
from treadle.service.settle import End, Settler
from treadle.states import Status
from treadle.store.protocol import Note, Settled
from treadle.worker.attempt import Attempt, Home
from treadle.worker.executor import Executor, Result
from treadle.worker.holding import Holding
from treadle.worker.lease import Lease
from treadle.worker.search import Search

logger = logging.getLogger("treadle.worker")

PROGRESS_SECONDS = 1.0
"""Progress is written at most this often."""

MAX_UNSETTLED = 2
"""Outcomes a slot, waiting for the store, at which nothing more is claimed: one batch is being written, the next has
run. Without a bound a worker whose claims get through and whose settles do not would run the whole queue, and when it
then dies, all of that is run again."""

MAX_CLAIMS = 2
"""Claims by hints that are out at the same time, each for what is idle then: while the jobs of one run here, the store
works on the other one."""

MAX_CLAIMED = 256
"""Jobs of one claim. With more of them a job is hardly cheaper; with more slots than this, two batches take turns."""

_UNSETTLED = Failed("internal_error", "the attempt ended, but its outcome could not be settled")


class Runner:
    """Claims what its idle slots can take, and never more."""

    def __init__(self, runtime: Runtime, holding: Holding, settler: Settler, lease: Lease, executor: Executor) -> None:
        self._runtime = runtime
        self._holding = holding
        self._settler = settler
        self._lease = lease
        self._executor = executor
        self._home = Home(runtime.clock, runtime.artifacts, lambda: lease.valid_until, self.save_checkpoint)
        self._idle = runtime.settings.concurrency
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._reserved = 0
        """Idle slots that a claim is out for."""
        self._unsettled = 0
        self._turn = asyncio.Semaphore(MAX_CLAIMS)
        self._settling: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Slots in use."""
        return self._runtime.settings.concurrency - self._idle

    async def claim_forever(self) -> None:
        """Take hints, and look for work without them; see design: the safety net is the worker itself."""
        settings = self._runtime.settings
        pause_seconds = settings.poll_seconds
        search = Search(settings.reconcile_seconds)
        async with asyncio.TaskGroup() as claims:
            while True:
                # Again after the wait: handlers that end before it returns may have taken the room that ended it.
                while (limit := self._room) <= 0:
                    await self._has_room.wait()
                ids: Sequence[JobId] | None = None
                if not search.is_due(self._runtime.clock.rising()):
                    wait_seconds = 0.0 if search.is_probing else pause_seconds * self._runtime.chance.uniform(0.5, 1.0)
                    ids = await self._take(limit, wait_seconds)
                if ids is None:
                    self._reserve(limit)
                    has_found = await self._claim_by_scan(search, limit)
                    grown_seconds = min(2 * pause_seconds, settings.reconcile_seconds)
                    pause_seconds = settings.poll_seconds if has_found else grown_seconds
                    continue
                await self._turn.acquire()
                # Reserved before its task runs: this loop is here again first.
                self._reserve(len(ids))
                claiming = claims.create_task(self._claim_hinted(search, ids))
                if search.is_probing:
                    await claiming  # what it finds decides how to go on

    async def _claim_by_scan(self, search: Search, limit: int) -> bool:
        found = await self._claim(None, limit)
        if found is not None:
            search.scanned(found, limit, self._runtime.clock.rising())
        return found is None or bool(found)

    async def _claim_hinted(self, search: Search, ids: Sequence[JobId]) -> None:
        try:
            if (found := await self._claim(ids, len(ids))) is not None:
                search.hinted(ids, found, self._runtime.clock.rising())
        finally:
            self._turn.release()

    async def write_progress_forever(self) -> None:
        """Write the newest progress of each attempt once a second."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            await self._write_progress()

    async def _write_progress(self) -> None:
        # Not in the loop above: its names would hold the jobs, megabytes each, through its sleep.
        told = [(a, p) for a in self._holding.attempts if (p := a.take_new_progress()) is not None]
        notes = [self._settler.note(Note(a.id, a.job.attempt, progress=p)) for a, p in told]
        answers = await asyncio.gather(*notes, return_exceptions=True)
        for (attempt, _), answer in zip(told, answers, strict=True):
            if isinstance(answer, BaseException):
                attempt.renew_progress()

    async def drain(self, timeout_seconds: float) -> bool:
        """Wait until no slot runs and everything is settled; whether that came true in time."""
        deadline = self._runtime.clock.rising() + timeout_seconds
        while self.running or self._settling:
            left_seconds = deadline - self._runtime.clock.rising()
            if left_seconds <= 0:
                return False
            await asyncio.sleep(min(0.02, left_seconds))
        return True

    async def save_checkpoint(self, attempt: Attempt, checkpoint: bytes) -> None:
        """Write a checkpoint, over outages of the store. Raises ``LeaseLost``."""
        while not attempt.is_lost:
            try:
                if await self._settler.note(Note(attempt.id, attempt.job.attempt, checkpoint=checkpoint)):
                    return
                break
            except Unavailable:
                await self._lease.next_beat()
        raise LeaseLost("this attempt is past: another one counts now")

    def _ended(self, results: Sequence[Result]) -> None:
        now = self._runtime.clock.rising()
        for attempt, _ in results:
            attempt.is_settling = True
        alike = Counter((attempt.job.type, attempt.claimed_at) for attempt, _ in results)
        for (type_name, claimed_at), count in alike.items():
            self._runtime.metrics.run_seconds.observe(now - claimed_at, type_name, count=count)
        self._idle += len(results)
        self._unsettled += len(results)
        # Settled beside the slots: the next batch is claimed and run while this one is being written.
        task = asyncio.create_task(self._settle(results))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        self._tell_room()

    @property
    def _room(self) -> int:
        """How many jobs may be claimed now."""
        unsettled = MAX_UNSETTLED * self._runtime.settings.concurrency - self._unsettled
        return min(self._idle - self._reserved, unsettled, MAX_CLAIMED)

    def _tell_room(self) -> None:
        if self._room > 0:
            self._has_room.set()
        else:
            self._has_room.clear()

    @property
    def _queues(self) -> Sequence[str] | None:
        return self._runtime.settings.queues or None

    async def _take(self, limit: int, wait_seconds: float) -> Sequence[JobId] | None:
        """Hints, or ``None`` where a scan is to look: hints that cannot be had are hints that were lost."""
        takes = self._runtime.metrics.takes
        try:
            ids = await self._runtime.dispatch.take(self._queues, limit, wait_seconds)
        except Exception as error:
            takes.add(1, "error")
            self._complain("taking hints failed", error)
            await asyncio.sleep(wait_seconds)
            return None
        takes.add(1, "hints" if ids else "empty")
        return ids or None

    def _complain(self, what: str, error: Exception) -> None:
        exc_info = None if isinstance(error, Unavailable) else error  # an outage needs no traceback, a bug does
        logger.warning("%s: %s", what, error, extra={"worker": self._lease.worker_id}, exc_info=exc_info)

    async def _claim(self, ids: Sequence[JobId] | None, limit: int) -> list[ClaimedJob] | None:
        """Claim for ``limit`` reserved slots and hand over to the handlers; what came, or ``None`` after a pause where
        the claim failed."""
        try:
            attempts = await self._claimed(ids, limit)
        except Exception as error:  # an outage, or a bug: a worker that never claims again helps nobody
            self._complain("a claim failed", error)
            await asyncio.sleep(self._runtime.settings.poll_seconds * self._runtime.chance.uniform(0.5, 1.0))
            return None
        self._executor.begin(attempts, self._ended)
        return [attempt.job for attempt in attempts]

    async def _claimed(self, ids: Sequence[JobId] | None, limit: int) -> list[Attempt]:
        number = self._holding.begin_claim()
        worker_id = self._lease.worker_id
        attempts: list[Attempt] = []
        try:
            jobs = await claim(self._runtime, worker_id, ids, self._queues, limit)
            # Claimed under an identity that was lost meanwhile: the reaper takes these back.
            if worker_id == self._lease.worker_id:
                now = self._runtime.clock.rising()
                attempts = [Attempt(job, worker_id, self._home, now) for job in jobs]
        except BaseException:
            self._lease.doubt()
            raise
        finally:
            self._holding.end_claim(number, attempts)
            self._idle -= len(attempts)
            self._reserve(-limit)
        return attempts

    def _reserve(self, count: int) -> None:
        self._reserved += count
        self._tell_room()

    async def _settle(self, results: Sequence[Result]) -> None:
        while results:
            results = await self._settle_once([result for result in results if not self._has_lost(result[0])])
            self._tell_room()

    async def _settle_once(self, results: Sequence[Result]) -> list[Result]:
        """Settle those that can be; what is to be tried again."""
        ends = [End(attempt.job, outcome, attempt.worker_id, attempt.progress) for attempt, outcome in results]
        again: list[Result] = []
        is_away = False
        is_quiet = not logger.isEnabledFor(logging.DEBUG)
        for result, answer in zip(results, await self._answers(ends), strict=True):
            attempt, outcome = result
            if isinstance(answer, Settled):
                if not (is_quiet and answer.status is Status.COMPLETED):
                    _log(attempt, outcome, answer.status)
                self._drop(attempt)
            elif isinstance(answer, Unavailable):
                is_away = True
                again.append(result)
            else:
                logger.error("an outcome could not be settled", extra=_fields(attempt), exc_info=answer)
                if outcome is _UNSETTLED:
                    self._drop(attempt)
                    self._lease.doubt()
                else:
                    # Dropped, the job would be released and run again, for ever: as a failure, its budget ends it.
                    again.append((attempt, _UNSETTLED))
        if is_away:
            # Kept until the store is back; the beat goes first, since it may say that we were given up.
            await self._lease.next_beat()
        return again

    async def _answers(self, ends: Sequence[End]) -> list[Settled | Exception]:
        try:
            return await self._settler.settle_all(ends)
        except Exception as error:  # a bug, met by one of them: it is not the others' end
            if len(ends) == 1:
                return [error]
            return [answer for end in ends for answer in await self._answers([end])]

    def _has_lost(self, attempt: Attempt) -> bool:
        if attempt.is_lost:
            self._drop(attempt)
        return attempt.is_lost

    def _drop(self, attempt: Attempt) -> None:
        self._unsettled -= 1
        self._holding.drop(attempt)


def _fields(attempt: Attempt) -> dict[str, object]:
    job = attempt.job
    return {"job": job.id, "type": job.type, "attempt": job.attempt, "worker": attempt.worker_id}


def _log(attempt: Attempt, outcome: Outcome, status: str | None) -> None:
    extra = {**_fields(attempt), "status": status}
    if status is None:
        logger.warning("an outcome came too late and was dropped", extra=_fields(attempt))
    elif isinstance(outcome, Failed):
        logger.warning("%s: %s", outcome.kind, outcome.message, extra=extra)
    elif isinstance(outcome, Succeeded):
        logger.debug("done", extra=extra)
    else:
        logger.info("%s", type(outcome).__name__.lower(), extra=extra)
