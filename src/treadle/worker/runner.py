"""Runner: the claim loop, the slots, and the way every attempt takes through them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from treadle.errors import LeaseLost, Unavailable
from treadle.ids import JobId
from treadle.job import ClaimedJob
from treadle.outcome import Failed, Outcome, Succeeded
from treadle.service.claim import claim
from treadle.service.runtime import Runtime
from treadle.service.settle import Settler
from treadle.store.protocol import Note
from treadle.worker.attempt import Attempt
from treadle.worker.executor import Executor
from treadle.worker.holding import Holding
from treadle.worker.lease import Lease

logger = logging.getLogger("treadle.worker")

PROGRESS_SECONDS = 1.0
"""Progress is written at most this often."""

MAX_UNSETTLED = 2
"""Outcomes a slot, waiting for the store, at which nothing more is claimed: one batch is being written, the next has
run. Without a bound a worker whose claims get through and whose settles do not would run the whole queue, and when it
then dies, all of that is run again."""

_UNSETTLED = Failed("internal_error", "the attempt ended, but its outcome could not be settled")


class Runner:
    """Claims what its idle slots can take, and never more."""

    def __init__(self, runtime: Runtime, holding: Holding, settler: Settler, lease: Lease, executor: Executor) -> None:
        self._runtime = runtime
        self._holding = holding
        self._settler = settler
        self._lease = lease
        self._executor = executor
        self._inbox: asyncio.Queue[Attempt] = asyncio.Queue()
        self._idle = runtime.settings.concurrency
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._settling: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Slots in use."""
        return self._runtime.settings.concurrency - self._idle

    async def claim_forever(self) -> None:
        """Take hints, and look for work without them; see design: the safety net is the worker itself."""
        settings = self._runtime.settings
        pause_seconds = settings.poll_seconds
        scan_again = True
        scanned_at = 0.0
        while True:
            # Again after the wait: handlers that end before it returns may have taken the room that ended it.
            while (limit := self._room) <= 0:
                await self._has_room.wait()
            ids: Sequence[JobId] | None = None
            is_due = self._runtime.clock.rising() - scanned_at >= settings.reconcile_seconds
            if not scan_again and not is_due:
                ids = await self._take(limit, pause_seconds * self._runtime.chance.uniform(0.5, 1.0))
            try:
                claimed = await self._claim(ids, limit)
            except Exception as error:  # an outage, or a bug: a worker that never claims again helps nobody
                self._complain("a claim failed", error)
                await asyncio.sleep(settings.poll_seconds * self._runtime.chance.uniform(0.5, 1.0))
                continue
            if ids is None:
                scanned_at = self._runtime.clock.rising()
                scan_again = claimed == limit
                pause_seconds = settings.poll_seconds if claimed else min(2 * pause_seconds, settings.reconcile_seconds)

    async def work_forever(self) -> None:
        """One slot: attempt after attempt."""
        while True:
            # No name here for the attempt: an idle slot would keep its payload in memory until the next one comes.
            await self._work_on(await self._inbox.get())

    async def write_progress_forever(self) -> None:
        """Write the newest progress of each attempt once a second."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            told = [(a, p) for a in self._holding.attempts if (p := a.take_new_progress()) is not None]
            notes = [self._settler.note(Note(a.id, a.job.attempt, progress=p)) for a, p in told]
            answers = await asyncio.gather(*notes, return_exceptions=True)
            for (attempt, _), answer in zip(told, answers, strict=True):
                if isinstance(answer, BaseException):
                    attempt.renew_progress()

    async def drain(self, timeout_seconds: float) -> bool:
        """Wait until no slot runs and everything is settled; whether that came true in time."""
        deadline = self._runtime.clock.rising() + timeout_seconds
        while self.running or self._settling or not self._inbox.empty():
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

    async def _work_on(self, attempt: Attempt) -> None:
        began = self._runtime.clock.rising()
        try:
            outcome = await self._executor.run(attempt)
        except Exception as error:  # the executor promises not to raise; a slot must outlive a broken promise
            logger.exception("running a job broke the worker's own code", extra=_fields(attempt))
            outcome = Failed("internal_error", type(error).__name__)
        finally:
            self._set_idle(self._idle + 1)
            self._runtime.metrics.run_seconds.observe(self._runtime.clock.rising() - began, attempt.job.type)
        # Settled beside the slot: the next batch is claimed and run while this one is being written.
        task = asyncio.create_task(self._settle(attempt, outcome))
        self._settling.add(task)
        task.add_done_callback(self._settled)
        self._tell_room()

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        self._tell_room()

    @property
    def _room(self) -> int:
        """How many jobs may be claimed now."""
        unsettled = MAX_UNSETTLED * self._runtime.settings.concurrency - len(self._settling)
        return min(self._idle, unsettled)

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

    async def _claim(self, ids: Sequence[JobId] | None, limit: int) -> int:
        """Claim and hand over to the slots; how many came."""
        number = self._holding.begin_claim()
        worker_id = self._lease.worker_id
        attempts: list[Attempt] = []
        try:
            jobs = await claim(self._runtime, worker_id, ids, self._queues, limit)
            # Claimed under an identity that was lost meanwhile: the reaper takes these back.
            if worker_id == self._lease.worker_id:
                attempts = [self._attempt(job) for job in jobs]
        finally:
            self._holding.end_claim(number, attempts)
        for attempt in attempts:
            self._inbox.put_nowait(attempt)
        self._set_idle(self._idle - len(attempts))
        return len(jobs)

    def _attempt(self, job: ClaimedJob) -> Attempt:
        return Attempt(
            job,
            self._lease.worker_id,
            clock=self._runtime.clock,
            artifacts=self._runtime.artifacts,
            lease_valid_until=lambda: self._lease.valid_until,
            save_checkpoint=self.save_checkpoint,
        )

    async def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.is_settling = True
        while not attempt.is_lost:
            try:
                settled = await self._settler.settle(attempt.job, outcome, attempt.worker_id, attempt.progress)
            except Unavailable:
                # Kept until the store is back; the beat goes first, since it may say that we were given up.
                await self._lease.next_beat()
                continue
            except Exception:
                logger.exception("an outcome could not be settled", extra=_fields(attempt))
                if outcome is _UNSETTLED:
                    break
                # Dropped, the job would be released and run again, for ever: as a failure, its budget ends it.
                outcome = _UNSETTLED
                continue
            if settled.status is None:
                logger.warning("an outcome came too late and was dropped", extra=_fields(attempt))
            else:
                _log(attempt, outcome, settled.status)
            break
        self._holding.drop(attempt)

    def _set_idle(self, idle: int) -> None:
        self._idle = idle
        self._tell_room()


def _fields(attempt: Attempt) -> dict[str, object]:
    job = attempt.job
    return {"job": job.id, "type": job.type, "attempt": job.attempt, "worker": attempt.worker_id}


def _log(attempt: Attempt, outcome: Outcome, status: str) -> None:
    extra = {**_fields(attempt), "status": status}
    if isinstance(outcome, Failed):
        logger.warning("%s: %s", outcome.kind, outcome.message, extra=extra)
    elif isinstance(outcome, Succeeded):
        logger.debug("done", extra=extra)
    else:
        logger.info("%s", type(outcome).__name__.lower(), extra=extra)
