"""The ends of attempts, a function of one transaction's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

from treadle.ids import JobId
from treadle.job import MAX_KEPT_ERRORS
from treadle.queue import Priority
from treadle.states import FINAL, Actor, Status, Verb, sources_of, target_of
from treadle.store.protocol import Move, Settled
from treadle.store.sqlite.rows import text_or_none, to_micros, to_micros_or_none
from treadle.store.sqlite.writing import SQL, json_list

_SOURCE = Status.PROCESSING.value
_COMPLETED = target_of(Verb.COMPLETE).value
_KEEPS_ERROR = frozenset({Verb.RELEASE, Verb.SNOOZE, Verb.ABORT})
"""Ends that say nothing of their own: the last failure stays readable."""


class _Standing(msgspec.Struct, array_like=True):
    """A job's row, of the query ``settled``."""

    number: int
    id: JobId
    attempt: int
    status: Status
    cancel_requested: int
    type: str
    queue: str
    priority: Priority


_STANDINGS = msgspec.json.Decoder(list[_Standing])


def settle(connection: sqlite3.Connection, moves: Sequence[Move], now: datetime) -> list[Settled]:
    """See ``Store.settle``.

    A move succeeded where its own attempt stands in its target afterwards: one rule for a move that was just made
    and for one that was sent again. No other move of the batch can have changed that: it would have been refused.
    """
    for move in moves:
        if move.verb not in _ENDS:
            raise ValueError(f"{move.verb} ends no attempt")
    completing: list[Move] = []
    others: list[Move] = []
    for move in moves:
        (completing if _only_completes(move) else others).append(move)
    if completing and others and len({move.job_id for move in moves}) < len(moves):
        completing, others = [], list(moves)  # of two ends of one attempt the first one counts
    now_micros = to_micros(now)
    standing = _complete(connection, completing, now_micros) if completing else {}
    if others:
        connection.executemany(SQL["settle"], [_parameters(move, now_micros) for move in others])
        standing |= _standing(connection, others)
    return [_settled(move, standing.get(move.job_id)) for move in moves]


def _only_completes(move: Move) -> bool:
    """Whether the query ``complete`` knows all that the move says."""
    is_clean = move.error is None and move.failure is None and not move.failures and not move.crashes
    return move.verb is Verb.COMPLETE and is_clean and move.run_at is None


def _complete(connection: sqlite3.Connection, moves: Sequence[Move], now_micros: int) -> dict[JobId, _Standing]:
    """Move those that may be, in one step for all; how the jobs stand then.

    Read first: nothing comes in between, as the transaction has held the write lock since it began.
    """
    standing = _standing(connection, moves)
    ends: dict[int, tuple[int, str | None, str | None, str | None]] = {}
    for move in moves:
        job = standing.get(move.job_id)
        if job is not None and job.attempt == move.attempt and job.status is Status.PROCESSING:
            told = (text_or_none(move.result), text_or_none(move.artifacts), text_or_none(move.progress))
            ends[job.number] = (job.number, *told)
            job.status = Status.COMPLETED  # and so of two ends of one attempt the first one counts
    if ends:
        parameters = {
            "now": now_micros,
            "ends": json_list(list(ends.values())),
            "source": _SOURCE,
            "target": _COMPLETED,
        }
        connection.execute(SQL["complete"], parameters)
    return standing


def _standing(connection: sqlite3.Connection, moves: Sequence[Move]) -> dict[JobId, _Standing]:
    ids = json_list([move.job_id for move in moves])
    [found] = connection.execute(SQL["settled"], {"ids": ids}).fetchone()
    return {job.id: job for job in _STANDINGS.decode(found)}


def _settled(move: Move, job: _Standing | None) -> Settled:
    if job is not None and job.attempt == move.attempt:
        status = _TARGETS[move.verb][job.cancel_requested]
        if job.status is status:
            return Settled(move.job_id, status, job.type, job.queue, job.priority)
    return Settled(move.job_id, None)


def _parameters(move: Move, now_micros: int) -> dict[str, object]:
    return {
        **_ENDS[move.verb],
        "id": move.job_id,
        "attempt": move.attempt,
        "failures": move.failures,
        "crashes": move.crashes,
        "now": now_micros,
        "run_at": to_micros_or_none(move.run_at),
        "result": text_or_none(move.result),
        "error": move.error,
        "artifacts": text_or_none(move.artifacts),
        "progress": text_or_none(move.progress),
        "failure": None if move.failure is None else msgspec.json.encode(move.failure).decode(),
    }


def _end(verb: Verb) -> dict[str, object]:
    """What the query ``settle`` takes for every move of ``verb``."""
    return {
        "source": _SOURCE,
        "target": target_of(verb).value,
        "cancelled_target": target_of(verb, cancel_requested=True).value,
        "is_final": target_of(verb) in FINAL,
        "snoozes": 1 if verb is Verb.SNOOZE else 0,
        "keeps_error": verb in _KEEPS_ERROR,
        "max_kept_errors": MAX_KEPT_ERRORS,
    }


_ENDS = {verb: _end(verb) for verb in Verb if sources_of(verb, Actor.SETTLER)}
_TARGETS = {verb: (target_of(verb), target_of(verb, cancel_requested=True)) for verb in _ENDS}
