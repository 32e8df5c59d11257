"""Executor: one attempt from payload to ``Outcome``. Never raises, never touches the store."""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

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
from treadle.telemetry.logs import FieldsAdapter
from treadle.telemetry.tracing import has_spans, span
from treadle.worker.attempt import Attempt, StopReason
from treadle.worker.children import Children
from treadle.worker.handlers import HandlerLoop, HandlerThreads

logger = logging.getLogger("treadle.handler")

_NO_SPAN: AbstractContextManager[None] = nullcontext()
_FINE = (Snooze, Park, asyncio.CancelledError)
"""How a handler says what it wants, and how it is stopped: no error of its span."""

LARGE_PAYLOAD_BYTES = 128 * 1024
"""Decoding more takes milliseconds that the other handlers' loop should not lose."""


@dataclass(frozen=True, slots=True)
class _Interrupted:
    """The handler let a ``CancelledError`` through."""


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
        self.stuck = 0
        """Handlers that outlived timeout and overrun: their slots were replaced, their threads are lost."""

    async def run(self, attempt: Attempt) -> Outcome:
        """The attempt's outcome, at the latest when its timeout and the overrun limit have passed.

        An attempt that is past its timeout and cannot be stopped keeps its job until it returns or the overrun
        limit passes: a result that arrives in between counts (the work is done, running it again would do it
        twice), and so does ``Park`` (a person is to decide, and not the next attempt); any other end is the
        failure ``timeout``.
        """
        job = attempt.job
        jobtype = self._registry.get(job.type)
        if jobtype is None:
            return Failed("unknown_type", "this worker has no handler for the job's type", retryable=False)
        if attempt.stop_reason is not None:
            # Stopped between its claim and its slot: user code is not even begun.
            return Released() if attempt.stop_reason is StopReason.SHUTDOWN else Aborted()
        if self._children is not None and (jobtype.isolation is not None or job.crashes > 0):
            # What has taken a process down once may do so again: from now on it buries itself and no neighbour.
            return await self._children.run(attempt, jobtype.isolation or Isolation())
        if jobtype.is_async:
            future, interrupt = self._loop.run(_run_async(jobtype, attempt))
            attempt.interrupt_with(interrupt)
        else:
            future = self._threads.run(lambda: _run_blocking(jobtype, attempt))
        ended = asyncio.wrap_future(future)
        done, _ = await asyncio.wait((ended,), timeout=job.timeout_seconds)
        if not done:
            attempt.stop(StopReason.TIMEOUT)
            done, _ = await asyncio.wait((ended,), timeout=self._overrun_seconds)
        if not done:
            self.stuck += 1
            # Somebody must read a late exception, or the loop complains about it.
            ended.add_done_callback(lambda late: late.exception())
            text = f"still running {self._overrun_seconds:g} s past its timeout of {job.timeout_seconds:g} s"
            return Failed("timeout", text)
        return _judged(attempt, ended)


def _judged(attempt: Attempt, ended: asyncio.Future[Outcome | _Interrupted]) -> Outcome:
    error = ended.exception() if not ended.cancelled() else asyncio.CancelledError()
    outcome = _of_exception(error) if error is not None else ended.result()
    reason = attempt.stop_reason
    if isinstance(outcome, Succeeded | Parked) or reason is None:
        return Failed("CancelledError", "the handler was cancelled") if isinstance(outcome, _Interrupted) else outcome
    if reason is StopReason.TIMEOUT:
        return Failed("timeout", f"ran longer than its timeout of {attempt.job.timeout_seconds:g} s")
    if reason is StopReason.SHUTDOWN:
        return Released()
    return Aborted()


async def _run_async(jobtype: JobType, attempt: Attempt) -> Outcome | _Interrupted:
    try:
        if len(attempt.job.payload) > LARGE_PAYLOAD_BYTES:
            arguments = await asyncio.to_thread(_arguments, jobtype, attempt)
        else:
            arguments = _arguments(jobtype, attempt)
        hit("worker.before_handler")
        with _span(attempt):
            value = await jobtype.handler(*arguments)
        hit("worker.after_handler")
        return _succeeded(value, attempt)
    except asyncio.CancelledError:
        return _Interrupted()
    except BaseException as error:
        return _of_exception(error)


def _run_blocking(jobtype: JobType, attempt: Attempt) -> Outcome | _Interrupted:
    try:
        arguments = _arguments(jobtype, attempt)
        hit("worker.before_handler")
        with _span(attempt):
            value = jobtype.handler(*arguments)
        hit("worker.after_handler")
        return _succeeded(value, attempt)
    except asyncio.CancelledError:
        return _Interrupted()
    except BaseException as error:
        return _of_exception(error)


def _span(attempt: Attempt) -> AbstractContextManager[None]:
    """Around the handler: it goes on with the trace that its job was submitted in, where there is OpenTelemetry."""
    if not has_spans():
        return _NO_SPAN
    job = attempt.job
    # The names of OpenTelemetry's semantic conventions for messaging.
    attributes = {
        "messaging.system": "treadle",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.queue,
        "messaging.message.id": job.id,
        "treadle.job.type": job.type,
        "treadle.job.attempt": job.attempt,
    }
    return span(f"process {job.type}", job.traceparent, attributes, _FINE)


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


def _succeeded(value: object, attempt: Attempt) -> Outcome:
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
