"""Child processes, as the worker sees them: warm ones kept for the next job, each killed with its whole group."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from treadle.errors import LeaseLost
from treadle.isolation import Isolation
from treadle.job import ClaimedJob
from treadle.outcome import Aborted, Crashed, Failed, Outcome, Released
from treadle.worker import messages
from treadle.worker.attempt import Attempt, StopReason
from treadle.worker.messages import Checkpoint, CheckpointSaved, Ended, Ends, LeaseValid, Logged, Progress, Run, Stop

logger = logging.getLogger("treadle.handler")

START_SECONDS = 60.0
"""For loading user code and its start hooks; beyond it the child is killed and the attempt fails."""
STOP_SECONDS = 2.0
"""From asking a handler to stop to killing it: less than a stopping worker waits for its slots."""
TELL_LEASE_SECONDS = 1.0
MAX_JOBS = 100
"""A child is replaced after so many attempts: what leaks slowly is never seen as large."""
MAX_OUTPUT_BYTES = 64 * 1024
"""Of what an attempt prints, so much goes to the log; the rest is read and dropped, so that nothing stands still."""


class Children:
    """The child processes of one worker."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], first_words: bytes) -> None:
        self._command = command
        self._environment = environment
        self._first_words = first_words
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()

    async def run(self, attempt: Attempt, isolation: Isolation) -> Outcome:
        """The attempt's outcome. A death of the child is ``Crashed``, whatever its exit code: it gave no answer."""
        stopping = asyncio.Event()
        attempt.interrupt_with(stopping.set)
        try:
            child = await self._take()
        except (Ends, OSError, TimeoutError) as error:
            return Failed("child_not_started", f"a child process for this job could not be started: {error}")
        try:
            outcome = await child.run(attempt, isolation, stopping)
        except BaseException:
            await self._end(child)
            raise
        if child.is_fit:
            self._idle.append(child)
        else:
            await self._end(child)
        return outcome

    async def warm(self) -> None:
        """Start one child before the first job needs it."""
        try:
            self._idle.append(await self._take())
        except (Ends, OSError, TimeoutError) as error:
            logger.error("no child process could be started, and isolated jobs will fail until one can: %s", error)

    async def aclose(self) -> None:
        """Kill every child and everything it started."""
        for child in tuple(self._all):
            await self._end(child)
        self._idle.clear()

    async def _take(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            await self._end(child)
        child = _Child(self._command, self._environment)
        self._all.add(child)
        try:
            await asyncio.wait_for(child.begin(self._first_words), START_SECONDS)
        except BaseException:
            await self._end(child)
            raise
        return child

    async def _end(self, child: _Child) -> None:
        self._all.discard(child)
        await child.end()


class _Child:
    """One process, in a session of its own, with a socket to it and its output on a pipe."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        output_read, output_write = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            os.close(output_read)
            raise
        finally:
            theirs.close()
            os.close(output_write)
        self._line = ours
        self._output = os.fdopen(output_read, "rb", buffering=0)
        self._draining: asyncio.Task[None] | None = None
        self._said_bytes = 0
        self._job: ClaimedJob | None = None
        self._jobs = 0
        self._says_fit = False
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def is_fit(self) -> bool:
        """Whether it may have another job."""
        return self._says_fit and self._jobs < MAX_JOBS and self.is_alive

    async def begin(self, first_words: bytes) -> None:
        """Hand it what it needs to load user code, and wait until it has. Raises ``Ends``."""
        self._draining = asyncio.create_task(self._drain_output(self._output))
        self._reader, self._writer = await asyncio.open_connection(sock=self._line)
        self._writer.write(len(first_words).to_bytes(4, "big") + first_words)
        while not isinstance(message := await messages.hear_child(self._reader), messages.Ready):
            self._hear(message, None)

    async def run(self, attempt: Attempt, isolation: Isolation, stopping: asyncio.Event) -> Outcome:
        """One attempt, bounded by its timeout whatever it does."""
        job = attempt.job
        self._job, self._said_bytes, self._says_fit = job, 0, False
        self._jobs += 1
        self._write(Run(job, attempt.lease_valid_until, isolation.memory_mb, isolation.cpu_seconds))
        conversation = asyncio.create_task(self._converse(attempt))
        asked = asyncio.create_task(stopping.wait())
        telling = asyncio.create_task(self._tell_lease(attempt))
        try:
            await asyncio.wait((conversation, asked), timeout=job.timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
            if not conversation.done():
                if attempt.stop_reason is None:
                    attempt.stop(StopReason.TIMEOUT)
                self._write(Stop(str(attempt.stop_reason)))
                await asyncio.wait((conversation,), timeout=STOP_SECONDS)
            if not conversation.done():
                return _killed(attempt)
            return await self._judged(conversation, attempt)
        finally:
            for task in (conversation, asked, telling):
                task.cancel()
            self._job = None

    async def end(self) -> None:
        """Kill the process and its group; returns when it is reaped and its output is closed."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)
        if self._draining is not None:
            self._draining.cancel()
        if hasattr(self, "_writer"):
            self._writer.close()
        else:
            self._line.close()

    async def _judged(self, conversation: asyncio.Task[Ended], attempt: Attempt) -> Outcome:
        try:
            ended = conversation.result()
            outcome = messages.outcome_of(ended)
        except Ends:
            return await self._death(attempt)
        self._says_fit = ended.is_fit
        return outcome

    async def _death(self, attempt: Attempt) -> Outcome:
        """The line was cut: the process is dead or dying, and its exit code says of what."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = await asyncio.to_thread(self._process.wait)
        if attempt.stop_reason is not None:
            return _killed(attempt)
        if code == -signal.SIGXCPU:
            return Failed("cpu_limit", "computed for longer than its type may (Isolation(cpu_seconds=...))")
        return Crashed(_death_words(code))

    async def _converse(self, attempt: Attempt) -> Ended:
        while True:
            message = await messages.hear_child(self._reader)
            if isinstance(message, Ended):
                return message
            if isinstance(message, Checkpoint):
                try:
                    await attempt.save_checkpoint_here(message.checkpoint)
                    self._write(CheckpointSaved(True))
                except LeaseLost:
                    self._write(CheckpointSaved(False))
            else:
                self._hear(message, attempt)

    def _hear(self, message: messages.ToWorker, attempt: Attempt | None) -> None:
        if isinstance(message, Progress) and attempt is not None:
            attempt.report_progress(message.progress)
        elif isinstance(message, Logged):
            logger.log(message.level, "%s", message.message, extra=self._fields)

    async def _tell_lease(self, attempt: Attempt) -> None:
        while True:
            await asyncio.sleep(TELL_LEASE_SECONDS)
            self._write(LeaseValid(attempt.lease_valid_until))

    def _write(self, message: messages.ToChild) -> None:
        # A child that does not read has its buffer here: at most one job and a few words a second.
        self._writer.write(messages.frame(message))

    async def _drain_output(self, output: IO[bytes]) -> None:
        """Read all that it prints, so that it never stands still; say the first part of each attempt's."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), output
        )
        try:
            while data := await reader.read(16 * 1024):
                room = MAX_OUTPUT_BYTES - self._said_bytes
                self._said_bytes += len(data)
                for line in data[: max(0, room)].decode("utf-8", "replace").splitlines():
                    logger.info("printed: %s", line, extra=self._fields)
        finally:
            transport.close()

    @property
    def _fields(self) -> dict[str, object]:
        job = self._job
        return {} if job is None else {"job": job.id, "type": job.type, "attempt": job.attempt}


def _killed(attempt: Attempt) -> Outcome:
    """What a handler that did not stop when it was asked comes to."""
    if attempt.stop_reason is StopReason.SHUTDOWN:
        return Released()
    if attempt.stop_reason is StopReason.TIMEOUT:
        return Failed("timeout", f"ran longer than its timeout of {attempt.job.timeout_seconds:g} s, and was killed")
    return Aborted()


def _death_words(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"the child process that ran this attempt was killed by {signal.Signals(-code).name}"
    return f"the child process that ran this attempt ended with exit code {code} and without an answer"
