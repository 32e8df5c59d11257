"""Executor: one attempt from payload to ``Outcome``. Never raises, never touches the store."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from treadle.context import Job
from treadle.errors import InvalidInput, Unstorable
from treadle.failpoints import hit
from treadle.isolation import Isolation
from treadle.job import MAX_RESULT_BYTES
from treadle.jobtype import JobType, Registry
from treadle.jsontext import to_storable
from treadle.outcome import (
    Aborted,
    Failed,
    NonRetryable,
    Outcome,
    Park,
    Parked,
    Released,
    Snooze,
    Snoozed,
    Succeeded,
    clip,
)
from treadle.telemetry import tracing
from treadle.telemetry.logs import FieldsAdapter
from treadle.telemetry.tracing import has_spans
from treadle.worker.attempt import Attempt, StopReason
from treadle.worker.children import Children
from treadle.worker.handlers import HandlerLoop, HandlerThreads, Inbox

logger = logging.getLogger("treadle.handler")

_NO_SPAN: AbstractContextManager[None] = nullcontext()
_FINE = (Snooze, Park, asyncio.CancelledError)
"""How a handler says what it wants, and how it is stopped: no error of its span."""

LARGE_PAYLOAD_BYTES = 128 * 1024
"""Decoding more takes milliseconds that the other handlers' loop should not lose."""


Result = tuple[Attempt, Outcome]
Span = AbstractContextManager[None]
Tell = Callable[[Sequence[Result]], None]


@dataclass(frozen=True, slots=True)
class _Interrupted:
    """The handler let a ``CancelledError`` through."""


_Answer = Outcome | _Interrupted


class Executor:
    """Runs attempts with user code kept off the worker's loop."""

    def __init__(
        self,
        registry: Registry,
        loop: HandlerLoop,
        threads: HandlerThreads,
        overrun_seconds: float,
        children: Children | None = None,
    ) -> None:
        """Without ``children`` every handler runs in this process; that is so in a child itself."""
        self._registry = registry
        self._children = children
        self._loop = loop
        self._threads = threads
        self._overrun_seconds = overrun_seconds
        self._inbox: Inbox[tuple[_Run, _Answer]] = Inbox(self._answered)
        self._ended_over_there: list[tuple[_Run, _Answer]] = []
        self._running: set[_Run] = set()
        self._in_children: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None
        self.stuck = 0
        """Handlers that outlived timeout and overrun: their slots were replaced, their threads are lost."""

    async def run(self, attempt: Attempt) -> Outcome:
        """One attempt's outcome; see ``begin``."""
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def tell(results: Sequence[Result]) -> None:
            if not ended.done():
                ended.set_result(results[0][1])

        self.begin([attempt], tell)
        return await ended

    def begin(self, attempts: Sequence[Attempt], tell: Tell) -> None:
        """Start them all. ``tell`` hears each attempt's outcome, those that come together in one call.

        At the latest it is heard when the attempt's timeout and the overrun limit have passed. An attempt that is
        past its timeout and cannot be stopped keeps its job until it returns or the overrun limit passes: a result
        that arrives in between counts (the work is done, running it again would do it twice), and so does ``Park``
        (a person is to decide, and not the next attempt); any other end is the failure ``timeout``.
        """
        works: list[_Run] = []
        results: list[Result] = []
        now = asyncio.get_running_loop().time()
        makes_spans = has_spans()
        for attempt in attempts:
            try:
                outcome = self._begin(attempt, tell, now, works, makes_spans=makes_spans)
            except Exception as error:  # the slot must outlive a bug of ours
                outcome = _broken(attempt, error)
            if outcome is not None:
                results.append((attempt, outcome))
        if works:
            self._loop.run_all(works)
        if results:
            tell(results)

    def _begin(
        self, attempt: Attempt, tell: Tell, now: float, works: list[_Run], *, makes_spans: bool
    ) -> Outcome | None:
        """Start it, or put it to the ``works`` that are started together; its outcome where it is known already."""
        job = attempt.job
        jobtype = self._registry.get(job.type)
        if jobtype is None:
            return Failed("unknown_type", "this worker has no handler for the job's type", retryable=False)
        if attempt.stop_reason is not None:
            # Stopped between its claim and its start: user code is not even begun.
            return Released() if attempt.stop_reason is StopReason.SHUTDOWN else Aborted()
        if self._children is not None and (jobtype.isolation is not None or job.crashes > 0):
            # What has taken a process down once may do so again: from now on it buries itself and no neighbour.
            child = self._run_in_child(self._children, attempt, jobtype.isolation or Isolation(), tell)
            task = asyncio.create_task(child)
            self._in_children.add(task)
            task.add_done_callback(self._in_children.discard)
            return None
        run = _Run(attempt, self, tell, now + job.timeout_seconds)
        if jobtype.is_async:
            run.coroutine = run.go(jobtype, _span(attempt, makes_spans=makes_spans))
            attempt.interrupt_with(run.interrupt)
            works.append(run)
        else:
            self._threads.run(partial(self._run_in_thread, jobtype, run, _span(attempt, makes_spans=makes_spans)))
        self._running.add(run)
        self._watch_for(run.due_at)
        return None

    def cancel(self, run: _Run) -> None:
        """Cancel a run's coroutine, from any thread."""
        self._loop.cancel(run)

    def _run_in_thread(self, jobtype: JobType, run: _Run, span: Span) -> None:
        self._inbox.bring((run, _run_blocking(jobtype, run.attempt, span)))

    async def _run_in_child(self, children: Children, attempt: Attempt, isolation: Isolation, tell: Tell) -> None:
        try:
            outcome = await children.run(attempt, isolation)
        except Exception as error:  # the slot must outlive a bug of ours
            outcome = _broken(attempt, error)
        tell([(attempt, outcome)])

    def ended(self, run: _Run, answer: _Answer) -> None:
        """A run's coroutine ended; called on the handlers' loop. What ends in one turn is brought in the next."""
        self._ended_over_there.append((run, answer))
        if len(self._ended_over_there) == 1:
            self._loop.call_soon(self._bring_ended)

    def _bring_ended(self) -> None:
        ended, self._ended_over_there = self._ended_over_there, []
        self._inbox.bring(*ended)

    def _answered(self, answers: Sequence[tuple[_Run, _Answer]]) -> None:
        told: dict[Tell, list[Result]] = {}
        for run, answer in answers:
            if run in self._running:  # else it was given up
                self._running.discard(run)
                run.attempt.handler_ended()
                told.setdefault(run.tell, []).append((run.attempt, _judged(run.attempt, answer)))
        for tell, results in told.items():
            tell(results)

    # ---------------------------------------------------------------------------------- time limits

    def _watch_for(self, due_at: float) -> None:
        """Look at ``due_at``, if not before. One timer for all: most attempts end long before their timeout, and a
        timer for each would cost as much as all the rest of a small one."""
        if self._watch is None or due_at < self._watch.when():
            if self._watch is not None:
                self._watch.cancel()
            self._watch = asyncio.get_running_loop().call_at(due_at, self._look)

    def _look(self) -> None:
        self._watch = None
        now = asyncio.get_running_loop().time()
        for run in [run for run in self._running if run.due_at <= now]:
            self._overdue(run, now)
        if self._running:
            self._watch_for(min(run.due_at for run in self._running))

    def _overdue(self, run: _Run, now: float) -> None:
        if not run.is_overdue:
            run.is_overdue = True
            run.due_at = now + self._overrun_seconds
            run.attempt.stop(StopReason.TIMEOUT)
            return
        self.stuck += 1
        self._running.discard(run)
        timeout_seconds = run.attempt.job.timeout_seconds
        text = f"still running {self._overrun_seconds:g} s past its timeout of {timeout_seconds:g} s"
        run.tell([(run.attempt, Failed("timeout", text))])


class _Run:
    """One attempt in this process, from its start to its answer. Implements ``Work``."""

    __slots__ = ("_executor", "attempt", "coroutine", "due_at", "is_overdue", "is_told", "task", "tell")

    def __init__(self, attempt: Attempt, executor: Executor, tell: Tell, due_at: float) -> None:
        self.attempt = attempt
        self.coroutine: Coroutine[Any, Any, Any]
        self.task: asyncio.Task[Any] | None = None
        self.tell = tell
        self.due_at = due_at
        """Seconds on the worker's loop: the end of its timeout, then that of its overrun."""
        self.is_overdue = False
        self.is_told = False
        self._executor = executor

    def interrupt(self) -> None:
        """Cancel its coroutine, from any thread."""
        self._executor.cancel(self)

    async def go(self, jobtype: JobType, span: Span) -> None:
        """Run the handler on the handlers' loop, and tell how it ended."""
        try:
            answer = await _run_async(jobtype, self.attempt, span)
        except GeneratorExit:  # the loop has ended with this in it: nobody is left to tell
            raise
        except BaseException as error:  # a bug of ours: its slot would wait for the timeout
            answer = _of_exception(error)
        self._tell(answer)

    def ended(self, task: asyncio.Task[Any]) -> None:
        """See ``Work.ended``."""
        if not self.is_told:
            self._tell(_Interrupted())

    def _tell(self, answer: _Answer) -> None:
        self.is_told = True
        self.task = None
        self._executor.ended(self, answer)


def _broken(attempt: Attempt, error: Exception) -> Failed:
    logger.error("running a job broke the worker's own code", extra={"job": attempt.id}, exc_info=error)
    return Failed("internal_error", type(error).__name__)


def _judged(attempt: Attempt, outcome: _Answer) -> Outcome:
    reason = attempt.stop_reason
    if reason is None or isinstance(outcome, Succeeded | Parked):
        return Failed("CancelledError", "the handler was cancelled") if isinstance(outcome, _Interrupted) else outcome
    if reason is StopReason.TIMEOUT:
        return Failed("timeout", f"ran longer than its timeout of {attempt.job.timeout_seconds:g} s")
    if reason is StopReason.SHUTDOWN:
        return Released()
    return Aborted()


async def _run_async(jobtype: JobType, attempt: Attempt, span: Span) -> _Answer:
    try:
        if len(attempt.job.payload) > LARGE_PAYLOAD_BYTES:
            arguments = await asyncio.to_thread(_arguments, jobtype, attempt)
        else:
            arguments = _arguments(jobtype, attempt)
        hit("worker.before_handler")
        with span:
            value = await jobtype.handler(*arguments)
        hit("worker.after_handler")
        return _succeeded(value, attempt)
    except asyncio.CancelledError:
        return _Interrupted()
    except BaseException as error:
        return _of_exception(error)


def _run_blocking(jobtype: JobType, attempt: Attempt, span: Span) -> _Answer:
    try:
        arguments = _arguments(jobtype, attempt)
        hit("worker.before_handler")
        with span:
            value = jobtype.handler(*arguments)
        hit("worker.after_handler")
        return _succeeded(value, attempt)
    except asyncio.CancelledError:
        return _Interrupted()
    except BaseException as error:
        return _of_exception(error)


def _span(attempt: Attempt, *, makes_spans: bool) -> Span:
    """Around the handler: it goes on with the trace that its job was submitted in, where there is OpenTelemetry."""
    job = attempt.job
    if not makes_spans and (job.traceparent is None or not has_spans(job.traceparent)):
        return _NO_SPAN
    # The names of OpenTelemetry's semantic conventions for messaging.
    attributes = {
        "messaging.system": "treadle",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.queue,
        "messaging.message.id": job.id,
        "treadle.job.type": job.type,
        "treadle.job.attempt": job.attempt,
    }
    return tracing.span(f"process {job.type}", job.traceparent, attributes, _FINE)


class _BadPayload(Exception):
    pass


def _arguments(jobtype: JobType, attempt: Attempt) -> tuple[object, ...]:
    try:
        payload = jobtype.model.decode(attempt.job.payload)
    except (InvalidInput, msgspec.DecodeError) as error:  # the latter: a row that was written by hand
        raise _BadPayload(str(error)) from None
    if not jobtype.takes_job:
        return (payload,)
    job = attempt.job
    fields = {"job": job.id, "type": job.type, "attempt": job.attempt}
    seen = Job(
        attempt,
        id=job.id,
        type=job.type,
        queue=job.queue,
        attempt=job.attempt,
        created_at=job.created_at,
        checkpoint=job.checkpoint,
        log=FieldsAdapter(logger, fields),
    )
    return (payload, seen)


_DONE = Succeeded(b"null")


def _succeeded(value: object, attempt: Attempt) -> Outcome:
    if value is None and not attempt.published:
        return _DONE
    try:
        result = to_storable(value, max_bytes=MAX_RESULT_BYTES)
    except Unstorable as error:
        return Failed("result_not_storable", f"the handler's result cannot be stored: {error}", retryable=False)
    return Succeeded(result, tuple(attempt.published))


def _of_exception(error: BaseException) -> Outcome:
    if isinstance(error, Snooze):
        return Snoozed(error.seconds)
    if isinstance(error, Park):
        return Parked(_text(error))
    if isinstance(error, _BadPayload):
        return Failed("invalid_payload", _text(error), retryable=False)
    return Failed(type(error).__name__, _text(error), _trace(error), retryable=not isinstance(error, NonRetryable))


def _text(error: BaseException) -> str:
    try:
        return clip(str(error)) or type(error).__name__
    except BaseException:
        return f"{type(error).__name__} (its message cannot be read)"


def _trace(error: BaseException) -> str | None:
    try:
        inner = error.__traceback__.tb_next if error.__traceback__ is not None else None
        return clip("".join(traceback.format_exception(type(error), error, inner, limit=-30)))
    except BaseException:
        return None
