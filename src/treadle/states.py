"""Statuses and verbs: the one table that decides what may happen to a job.

SQL gets its from/to from here, operators' pages ask it which actions to offer, and the diagram in the docs is
drawn from it. Nothing else decides what is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where a job stands. The values are public: they appear in JSON, SQL and pages."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PROCESSING = "processing"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Verb(StrEnum):
    """What can be done to a job that exists."""

    PROMOTE = "promote"
    CLAIM = "claim"
    COMPLETE = "complete"
    RETRY = "retry"
    FAIL = "fail"
    BURY = "bury"
    SNOOZE = "snooze"
    RELEASE = "release"
    CANCEL = "cancel"
    ABORT = "abort"
    REQUEUE = "requeue"


class Actor(StrEnum):
    """Who may use an edge."""

    PROMOTER = "promoter"
    WORKER = "worker"
    """claims"""
    SETTLER = "settler"
    """ends an attempt: the worker that ran it, or the reaper for a worker that died; fenced by the attempt"""
    OPERATOR = "operator"
    """a person or the API"""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    verb: Verb
    sources: frozenset[Status]
    target: Status
    by: Actor


def _row(verb: Verb, sources: set[Status], target: Status, by: Actor) -> Transition:
    return Transition(verb, frozenset(sources), target, by)


_S = Status

TRANSITIONS: tuple[Transition, ...] = (
    _row(Verb.PROMOTE, {_S.SCHEDULED, _S.RETRYING}, _S.QUEUED, Actor.PROMOTER),
    _row(Verb.CLAIM, {_S.QUEUED}, _S.PROCESSING, Actor.WORKER),
    _row(Verb.COMPLETE, {_S.PROCESSING}, _S.COMPLETED, Actor.SETTLER),
    _row(Verb.RETRY, {_S.PROCESSING}, _S.RETRYING, Actor.SETTLER),
    _row(Verb.FAIL, {_S.PROCESSING}, _S.FAILED, Actor.SETTLER),
    _row(Verb.BURY, {_S.PROCESSING}, _S.DEAD, Actor.SETTLER),
    _row(Verb.BURY, {_S.FAILED, _S.RETRYING}, _S.DEAD, Actor.OPERATOR),
    _row(Verb.SNOOZE, {_S.PROCESSING}, _S.SCHEDULED, Actor.SETTLER),
    _row(Verb.RELEASE, {_S.PROCESSING}, _S.QUEUED, Actor.SETTLER),
    _row(Verb.CANCEL, {_S.SCHEDULED, _S.QUEUED, _S.RETRYING}, _S.CANCELLED, Actor.OPERATOR),
    _row(Verb.ABORT, {_S.PROCESSING}, _S.CANCELLED, Actor.SETTLER),
    _row(Verb.REQUEUE, {_S.FAILED, _S.DEAD, _S.CANCELLED}, _S.QUEUED, Actor.OPERATOR),
)

INITIAL: frozenset[Status] = frozenset({_S.QUEUED, _S.SCHEDULED})
FINAL: frozenset[Status] = frozenset({_S.COMPLETED, _S.FAILED, _S.DEAD, _S.CANCELLED})
UNFINISHED: frozenset[Status] = frozenset(Status) - FINAL


def sources_of(verb: Verb, by: Actor) -> frozenset[Status]:
    """The statuses from which ``by`` may use ``verb``; empty where it may not at all."""
    return frozenset(s for t in TRANSITIONS if t.verb is verb and t.by is by for s in t.sources)


def target_of(verb: Verb, *, cancel_requested: bool = False) -> Status:
    """Where ``verb`` leads.

    Once a cancel was requested, every way out of ``processing`` except ``complete`` ends in ``cancelled``:
    a retry or a crash must not forget that somebody asked.
    """
    row = next(t for t in TRANSITIONS if t.verb is verb)
    if cancel_requested and Status.PROCESSING in row.sources and verb is not Verb.COMPLETE:
        return Status.CANCELLED
    return row.target


def next_status(status: Status, verb: Verb, *, cancel_requested: bool = False) -> Status | None:
    """The status after ``verb``, or ``None`` where the table has no such edge for anybody."""
    if not any(t.verb is verb and status in t.sources for t in TRANSITIONS):
        return None
    return target_of(verb, cancel_requested=cancel_requested and status is Status.PROCESSING)


def operator_verbs(status: Status) -> tuple[Verb, ...]:
    """What an operator may do to a job in ``status``, in the table's order."""
    return tuple(t.verb for t in TRANSITIONS if t.by is Actor.OPERATOR and status in t.sources)
