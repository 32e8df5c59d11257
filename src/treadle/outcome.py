"""How an attempt ends: what a handler may raise, and what the executor makes of it.

An ``Outcome`` becomes a verb in ``service/settle.py`` and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_TEXT_BYTES = 8 * 1024
"""Error messages and tracebacks are cut to this, each."""


class NonRetryable(Exception):
    """Raise it from a handler when trying again cannot help: the job is ``failed`` at once."""


class Snooze(Exception):
    """Raise it from a handler to run again in ``seconds``; spends no budget, at most 1,000 times a job."""

    def __init__(self, seconds: float) -> None:
        if isinstance(seconds, bool) or not 0 <= float(seconds) <= 366 * 86_400:
            raise ValueError("Snooze(seconds) must be from 0 to 366 days")
        self.seconds = float(seconds)
        super().__init__(f"again in {self.seconds:g} s")


class Park(Exception):
    """Raise it from a handler to put the job into the dead-letter queue at once, for a person to decide."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One published file of an attempt. ``path`` is relative to the output folder."""

    name: str
    path: str
    size_bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned; ``result`` is compact JSON."""

    result: bytes
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler failed. ``kind`` is the exception's class name, or ``timeout``, ``result_not_storable``, ..."""

    kind: str
    message: str
    traceback: str | None = None
    retryable: bool = True


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler asked for later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Parked:
    """The handler asked for a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class Released:
    """The worker gives the job back unfinished; no budget is spent."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The handler ended because a cancel was requested."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The child process that ran the handler died without an answer; it counts like the death of a worker."""

    message: str


Outcome = Succeeded | Failed | Snoozed | Parked | Released | Aborted | Crashed


def clip(text: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """``text`` as valid UTF-8 of at most ``max_bytes`` without NUL; total, whatever the text holds.

    The end is kept where it must be cut: it names the error.
    """
    data = text.encode("utf-8", "replace").replace(b"\0", b"?")
    if len(data) > max_bytes:
        mark = b"... "[:max_bytes]
        data = mark + data[len(data) - max_bytes + len(mark) :]
    return data.decode("utf-8", "ignore")
