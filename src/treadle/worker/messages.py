"""What a worker and its child processes say to each other: msgpack frames over a socket pair."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import msgspec

from treadle.job import ClaimedJob
from treadle.outcome import Aborted, Failed, Outcome, Parked, Released, Snoozed, Succeeded

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""More than the largest job and the largest result together; what claims more is not a frame."""

_LENGTH = struct.Struct(">I")


class Run(msgspec.Struct, frozen=True, tag="run"):
    """To the child: run this attempt."""

    job: ClaimedJob
    lease_valid_until: float
    """Rising seconds; processes of one boot share them."""
    memory_mb: int
    cpu_seconds: float | None


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """To the child: ask the handler to end, for this reason (``StopReason``)."""

    reason: str


class LeaseValid(msgspec.Struct, frozen=True, tag="lease"):
    """To the child: the lease holds at least until then (rising seconds)."""

    until: float


class CheckpointSaved(msgspec.Struct, frozen=True, tag="saved"):
    """To the child: the checkpoint it asked for is durable, or (``False``) the attempt is past."""

    saved: bool


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """To the worker: user code is loaded and its start hooks have run."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """To the worker: the newest progress, as JSON."""

    progress: bytes


class Checkpoint(msgspec.Struct, frozen=True, tag="checkpoint"):
    """To the worker: save this and answer ``CheckpointSaved``."""

    checkpoint: bytes


class Logged(msgspec.Struct, frozen=True, tag="log"):
    """To the worker: the handler said something; the worker's own log is where people look."""

    level: int
    message: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """To the worker: how the attempt ended, and whether the process is fit for another one."""

    name: str
    members: msgspec.Raw
    is_fit: bool


ToChild = Run | Stop | LeaseValid | CheckpointSaved
ToWorker = Ready | Progress | Checkpoint | Logged | Ended

_OUTCOMES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Succeeded, Failed, Snoozed, Parked, Released, Aborted)
}
_encode = msgspec.msgpack.Encoder().encode
_to_child = msgspec.msgpack.Decoder(ToChild)
_to_worker = msgspec.msgpack.Decoder(ToWorker)


class Ends(Exception):
    """The other side is gone, or speaks no sense."""


def ended(outcome: Outcome, *, is_fit: bool) -> Ended:
    """``outcome`` as a message."""
    return Ended(type(outcome).__name__, msgspec.Raw(_encode(outcome)), is_fit)


def outcome_of(message: Ended) -> Outcome:
    """The outcome in a message. Raises ``Ends``."""
    try:
        outcome: Outcome = msgspec.msgpack.decode(message.members, type=_OUTCOMES[message.name])
    except (KeyError, msgspec.MsgspecError) as error:
        raise Ends(f"an outcome that is none: {error}") from None
    return outcome


def frame(message: ToChild | ToWorker) -> bytes:
    """``message`` as bytes to write."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


async def hear_worker(reader: asyncio.StreamReader) -> ToChild:
    """The worker's next message. Raises ``Ends``."""
    message: ToChild = _decoded(_to_child, await _body(reader))
    return message


async def hear_child(reader: asyncio.StreamReader) -> ToWorker:
    """The child's next message. Raises ``Ends``."""
    message: ToWorker = _decoded(_to_worker, await _body(reader))
    return message


def _decoded(decoder: msgspec.msgpack.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise Ends(f"a message that is none: {error}") from None


async def _body(reader: asyncio.StreamReader) -> bytes:
    try:
        [length] = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise Ends(f"a frame of {length} bytes")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise Ends(f"no more messages ({type(error).__name__})") from None
