"""Settle: outcomes of attempts become moves, many moves a commit. The only place an outcome becomes a verb."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from treadle.batching import GroupCommit
from treadle.errors import Unstorable
from treadle.failpoints import hit
from treadle.ids import JobId, WorkerId
from treadle.job import AttemptError, ClaimedJob
from treadle.outcome import Aborted, Crashed, Failed, Outcome, Parked, Released, Snoozed, Succeeded, clip
from treadle.retry import MAX_SNOOZES, after_crash, after_failure
from treadle.service.runtime import Runtime
from treadle.states import Status, Verb
from treadle.store.protocol import Move, Note, Settled
from treadle.telemetry.meters import OTHER

_OUTCOMES = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.RETRYING: "retried",
    Status.DEAD: "dead",
    Status.CANCELLED: "cancelled",
    Status.SCHEDULED: "snoozed",
    Status.QUEUED: "released",
}
"""What a move did, by where its job stands after it."""


_REFUSED = Failed("result_not_storable", "the database refused this attempt's result", retryable=False)


class End(msgspec.Struct, frozen=True):
    """How one attempt ended. ``progress``: the newest it told."""

    job: ClaimedJob
    outcome: Outcome
    worker_id: WorkerId
    progress: bytes | None = None


class Settler:
    """Ends attempts of one worker process, and writes their progress and checkpoints."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._moves: GroupCommit[Move, Settled] = GroupCommit(
            self._settle, max_waiting_items=100_000, resending=self._count_resending
        )
        self._notes: GroupCommit[Note, bool] = GroupCommit(self._note, resending=self._count_resending)

    async def settle_all(self, ends: Sequence[End]) -> list[Settled | Exception]:
        """End attempts with their outcomes; each one's answer, in order.

        ``Settled.status`` is ``None`` where the attempt is past. Data that the database refuses becomes the failure
        ``result_not_storable``. ``Unavailable`` among the answers: of that attempt nothing is decided, and the
        caller keeps its outcome and tries again.
        """
        answers = await self._move(ends)
        refused = [index for index, answer in enumerate(answers) if isinstance(answer, Unstorable)]
        if refused:
            again = [End(ends[index].job, _REFUSED, ends[index].worker_id) for index in refused]
            for index, answer in zip(refused, await self._move(again), strict=True):
                answers[index] = answer
        return answers

    async def settle(self, end: End) -> Settled:
        """``settle_all`` of one, whose error is raised."""
        [answer] = await self.settle_all([end])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _move(self, ends: Sequence[End]) -> list[Settled | Exception]:
        now = self._runtime.clock.now()
        moves = [move_for(self._runtime, end, now) for end in ends]
        return await self._moves.submit_all(moves, [len(move.result or b"") for move in moves])

    async def release(self, job_id: JobId, attempt: int) -> Settled:
        """Give back a job whose claim this worker never got an answer for; no budget is spent."""
        return await self._moves.submit(Move(job_id=job_id, attempt=attempt, verb=Verb.RELEASE))

    async def note(self, note: Note) -> bool:
        """Write progress or a checkpoint; ``False`` where the attempt is past."""
        return await self._notes.submit(note, len(note.progress or b"") + len(note.checkpoint or b""))

    async def aclose(self) -> None:
        """Return when everything handed over is known."""
        await self._moves.aclose()
        await self._notes.aclose()

    async def _settle(self, moves: Sequence[Move]) -> Sequence[Settled]:
        hit("worker.before_settle")
        settled = await self._runtime.store.settle(moves, self._runtime.clock.now())
        hit("worker.after_settle")
        self._runtime.metrics.batch_items.observe(len(moves), "settle")
        count_settled(self._runtime, settled)
        announce_released(self._runtime, settled)
        return settled

    async def _note(self, notes: Sequence[Note]) -> Sequence[bool]:
        return await self._runtime.store.note(notes, self._runtime.clock.now())

    def _count_resending(self) -> None:
        self._runtime.metrics.store_repeats.add(1, "unknown")


def announce_released(runtime: Runtime, settled: Sequence[Settled]) -> None:
    """Hint at jobs that a move has put back into their line."""
    for done in settled:
        if done.status is Status.QUEUED and done.queue is not None and done.priority is not None:
            runtime.dispatch.announce(done.queue, done.priority, [done.job_id])


def count_settled(runtime: Runtime, settled: Sequence[Settled]) -> None:
    """Count what became of attempts."""
    counts = Counter((done.type, done.queue, done.status) for done in settled)
    for (type_name, queue, status), count in counts.items():
        if status is None:
            runtime.metrics.late.add(count)
        else:
            runtime.metrics.jobs.add(count, type_name or OTHER, queue or OTHER, _OUTCOMES[status])


def move_for(runtime: Runtime, end: End, now: datetime) -> Move:
    """The move that an attempt's end means."""
    job, outcome = end.job, end.outcome
    if isinstance(outcome, Succeeded):
        artifacts = (
            msgspec.json.encode([_artifact_members(a) for a in outcome.artifacts]) if outcome.artifacts else None
        )
        return Move(
            job_id=job.id,
            attempt=job.attempt,
            verb=Verb.COMPLETE,
            result=outcome.result,
            artifacts=artifacts,
            progress=end.progress,
            type=job.type,
            queue=job.queue,
            priority=job.priority,
        )
    if isinstance(outcome, Released):
        return _move(end, Verb.RELEASE)
    if isinstance(outcome, Aborted):
        return _move(end, Verb.ABORT)
    if isinstance(outcome, Crashed):
        return _crash_move(runtime, end, outcome, now)
    if isinstance(outcome, Snoozed):
        if job.snoozes < MAX_SNOOZES:
            return _move(end, Verb.SNOOZE, run_at=now + timedelta(seconds=outcome.seconds))
        outcome = Failed("snoozed_too_often", f"asked for later more than {MAX_SNOOZES} times", retryable=False)
    if isinstance(outcome, Parked):
        failure = _failure(end, "parked", outcome.reason, None, now)
        return _move(end, Verb.BURY, error=failure.message, failure=failure)
    verb = after_failure(job.failures, job.max_attempts, retryable=outcome.retryable)
    failure = _failure(end, outcome.kind, outcome.message, outcome.traceback, now)
    run_at = None
    if verb is Verb.RETRY:
        run_at = now + timedelta(seconds=job.backoff.delay_seconds(job.failures + 1, runtime.chance))
    return _move(end, verb, failures=1, run_at=run_at, error=failure.message, failure=failure)


def _crash_move(runtime: Runtime, end: End, outcome: Crashed, now: datetime) -> Move:
    """As the reaper does for a worker's death (``service/reap``), but at once: the worker saw it happen."""
    job = end.job
    verb = after_crash(job.crashes, job.max_crashes)
    kind, message, run_at = "crash", outcome.message, None
    if verb is Verb.RETRY:
        run_at = now + timedelta(seconds=job.backoff.delay_seconds(job.crashes + 1, runtime.chance))
    else:
        kind, message = "poison", f"poison: {job.crashes + 1} processes died while running this job; {message}"
    failure = _failure(end, kind, message, None, now)
    return _move(end, verb, crashes=1, run_at=run_at, error=failure.message, failure=failure)


def _move(end: End, verb: Verb, **members: object) -> Move:
    return Move(job_id=end.job.id, attempt=end.job.attempt, verb=verb, progress=end.progress, **members)  # type: ignore[arg-type]


def _failure(end: End, kind: str, message: str, traceback: str | None, now: datetime) -> AttemptError:
    return AttemptError(
        attempt=end.job.attempt,
        started_at=end.job.started_at,
        ended_at=now,
        kind=clip(kind, 200),
        message=clip(message) or kind,
        traceback=clip(traceback) if traceback is not None else None,
        worker=end.worker_id,
    )


def _artifact_members(artifact: object) -> dict[str, object]:
    members: dict[str, object] = msgspec.to_builtins(artifact)
    return {
        "name": members["name"],
        "path": members["path"],
        "sizeBytes": members["size_bytes"],
        "sha256": members["sha256"],
        "mediaType": members["media_type"],
    }
