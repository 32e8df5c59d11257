"""The batches that change jobs: what their statements take, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from treadle.errors import Unstorable
from treadle.ids import JobId
from treadle.job import MAX_KEPT_ERRORS, NewJob
from treadle.queue import PRIORITY_BY_LABEL, Priority
from treadle.states import FINAL, Actor, Status, Verb, sources_of, target_of
from treadle.store.postgres.rows import Row, job_id
from treadle.store.protocol import (
    ERASED_TEXT,
    TYPE_REFRESH,
    Hint,
    IdempotencyKey,
    Inserted,
    InsertResult,
    KeyClash,
    Move,
    Note,
    Operated,
    Promoted,
    PublishedType,
    Replayed,
    Settled,
    Submission,
)

Values = dict[str, Any]
Value = TypeVar("Value")

_JOB_ID = attrgetter("job_id")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEEPS_ERROR = frozenset({Verb.RELEASE, Verb.SNOOZE, Verb.ABORT})
"""Ends that say nothing of their own: the last failure stays readable."""
_ENDS = [verb for verb in Verb if sources_of(verb, Actor.SETTLER)]
_TARGETS = {verb: (target_of(verb), target_of(verb, cancel_requested=True)) for verb in _ENDS}
"""Where each end leads, without and with a cancel requested."""
_COMPLETED = target_of(Verb.COMPLETE).value
_ENDINGS: Values = {
    "ending_verbs": [verb.value for verb in _ENDS],
    "ending_targets": [target_of(verb).value for verb in _ENDS],
    "ending_cancelled_targets": [target_of(verb, cancel_requested=True).value for verb in _ENDS],
    "ending_is_final": [target_of(verb) in FINAL for verb in _ENDS],
    "ending_snoozes": [1 if verb is Verb.SNOOZE else 0 for verb in _ENDS],
    "ending_keeps_error": [verb in _KEEPS_ERROR for verb in _ENDS],
}
"""What the query ``settle`` takes for every verb once, rather than with every move."""


# ----------------------------------------------------------------------------------------------- insert


def insert_values(units: Sequence[Submission], new_queues: Sequence[str], now: datetime) -> Values:
    """What the query ``insert`` takes."""
    return {**_jobs_values([job for unit in units for job in unit.jobs]), "queue_names": new_queues, "now": now}


def keyed_insert_values(units: Sequence[Submission], new_queues: Sequence[str], now: datetime) -> Values:
    """What the query ``insert_keyed`` takes. Of units that share a key the first counts."""
    counting = first_by_key(units)
    sent = [unit for unit in units if unit.key is None or counting[name_of(unit.key)] is unit]
    keyed = [(unit.key, [job.id for job in unit.jobs]) for unit in sent if unit.key is not None]
    return {
        **insert_values(sent, new_queues, now),
        "keyed_by": [None if unit.key is None else unit.jobs[0].id for unit in sent for _ in unit.jobs],
        "scopes": [key.scope for key, _ in keyed],
        "keys": [key.key for key, _ in keyed],
        "fingerprints": [key.fingerprint for key, _ in keyed],
        "key_job_ids": [f"{{{','.join(ids)}}}" for _, ids in keyed],
        "expires_ats": [key.expires_at for key, _ in keyed],
    }


def name_of(key: IdempotencyKey) -> tuple[str, str]:
    """What makes two keys one."""
    return key.scope, key.key


def first_by_key(units: Sequence[Submission]) -> dict[tuple[str, str], Submission]:
    """For each key, the first unit that brings it."""
    first: dict[tuple[str, str], Submission] = {}
    for unit in units:
        if unit.key is not None:
            first.setdefault(name_of(unit.key), unit)
    return first


def insert_results(units: Sequence[Submission], kept_keys: Sequence[Row]) -> list[InsertResult]:
    """Each unit's answer, by the keys as they stand after the query ``insert_keyed``."""
    kept = {(row["scope"], row["key"]): row for row in kept_keys}
    return [_insert_result(unit, None if unit.key is None else kept[name_of(unit.key)]) for unit in units]


def _insert_result(unit: Submission, kept: Row | None) -> InsertResult:
    own = tuple(job.id for job in unit.jobs)
    if kept is None or unit.key is None:
        return Inserted(own)
    if kept["fingerprint"] != unit.key.fingerprint:
        return KeyClash()
    ids = tuple(JobId(str(i)) for i in kept["job_ids"])
    # The very same ids: this unit itself, now or when it was sent before and its answer was lost.
    return Inserted(ids) if ids == own else Replayed(ids)


# The members of a job that its type mostly decides, in the order in which the queries take them.
_policy_of = attrgetter(
    "type",
    "queue",
    "priority._value_",  # hashed at once; the member of an enumeration is hashed by its name, in Python
    "max_attempts",
    "max_crashes",
    "timeout_seconds",
    "backoff.base_seconds",
    "backoff.cap_seconds",
)


def _jobs_values(jobs: Sequence[NewJob]) -> Values:
    """Each policy once, and by its number with each job: sent with every job they cost as much as all the rest.

    Where there is one policy, no time and no trace, the numbers, times and traces are none: ``unnest`` fills up.
    """
    policies = list(map(_policy_of, jobs))
    number_of = {policy: number for number, policy in enumerate(dict.fromkeys(policies), 1)}
    types, queues, priorities, max_attempts, max_crashes, timeouts, backoff_bases, backoff_caps = zip(
        *number_of, strict=True
    )
    run_ats = [job.run_at for job in jobs]
    traceparents = [job.traceparent for job in jobs]
    return {
        "ids": [job.id for job in jobs],
        "numbers": [number_of[policy] for policy in policies] if len(number_of) > 1 else (),
        "payloads": [job.payload for job in jobs],
        "run_ats": run_ats if any(run_ats) else (),
        "traceparents": traceparents if any(traceparents) else (),
        "types": types,
        "queues": queues,
        "priorities": [Priority(priority).label for priority in priorities],
        "max_attempts": max_attempts,
        "max_crashes": max_crashes,
        "timeouts": timeouts,
        "backoff_bases": backoff_bases,
        "backoff_caps": backoff_caps,
    }


# ----------------------------------------------------------------------------------------------- settle


def settle_values(moves: Sequence[Move], now: datetime) -> Values:
    """What the query ``settle`` takes, in the order of ids. Raises ``ValueError`` for a verb that ends no attempt.

    Of moves of one attempt the first counts: an UPDATE would take any of them.
    """
    for move in moves:
        if move.verb not in _TARGETS:
            raise ValueError(f"{move.verb} ends no attempt")
    sent = first_of_each(moves)
    return {
        **_ENDINGS,
        **_ends_values(sent, now),
        "max_kept_errors": MAX_KEPT_ERRORS,
        "verbs": [move.verb.value for move in sent],
        "failures": [move.failures for move in sent],
        "crashes": [move.crashes for move in sent],
        "run_ats": [move.run_at for move in sent],
        "errors": [move.error for move in sent],
        "failure": [_failure(move) for move in sent],
    }


def only_complete(moves: Sequence[Move]) -> bool:
    """Whether the query ``complete`` says all that these moves say, and they know all that there is to answer."""
    return all(
        move.verb is Verb.COMPLETE and move.priority is not None and move.failure is None and move.error is None
        and not move.failures and not move.crashes
        for move in moves
    )  # fmt: skip


def complete_values(sent: Sequence[Move], now: datetime) -> Values:
    """What the query ``complete`` takes: of ``first_of_each`` of moves that all complete, what ``settle_values`` is of
    all. What is the same in all comes once, and what none has not at all: the driver looks long at each element."""
    attempt, attempts = _once_if_same([move.attempt for move in sent])
    result, results = _once_if_same([move.result for move in sent])
    artifacts = [move.artifacts for move in sent]
    progress = [move.progress for move in sent]
    return {
        "now": now,
        "target": _COMPLETED,
        "ids": [move.job_id for move in sent],
        "attempt": attempt,
        "attempts": attempts,
        "result": result,
        "results": results,
        "artifacts": artifacts if any(artifacts) else (),
        "progress": progress if any(progress) else (),
    }


def _once_if_same(values: Sequence[Value]) -> tuple[Value | None, Sequence[Value]]:
    """The one value that all have, and no list; or no such value, and the list: ``unnest`` fills up what is short."""
    is_same = values.count(values[0]) == len(values)
    return (values[0], ()) if is_same else (None, values)


def completed(moves: Sequence[Move]) -> list[Settled]:
    """The answers to moves that were all made."""
    return [Settled(move.job_id, Status.COMPLETED, move.type, move.queue, move.priority) for move in moves]


def first_of_each(moves: Sequence[Move]) -> list[Move]:
    """Of moves of one attempt the first, in the order of ids."""
    first: dict[tuple[JobId, int], Move] = {}
    for move in moves:
        first.setdefault((move.job_id, move.attempt), move)
    return sorted(first.values(), key=_JOB_ID)


def _ends_values(sent: Sequence[Move], now: datetime) -> Values:
    return {
        "now": now,
        "ids": [move.job_id for move in sent],
        "attempts": [move.attempt for move in sent],
        "results": [move.result for move in sent],
        "artifacts": [move.artifacts for move in sent],
        "progress": [move.progress for move in sent],
    }


def _failure(move: Move) -> bytes | None:
    try:
        return None if move.failure is None else msgspec.json.encode(move.failure)
    except UnicodeError as error:
        raise Unstorable("a message is no text that can be stored") from error


def settled(move: Move, row: Row | None) -> Settled:
    """What became of ``move``, by its job's row after it.

    It succeeded where its own attempt stands in its target: one rule for a move that was just made and for one that
    was sent again. No other move of the batch can have changed that: it would have been refused.
    """
    if row is not None and row["attempts"] == move.attempt:
        status = _TARGETS[move.verb][row["cancel_requested"]]
        if row["status"] == status.value:
            return Settled(move.job_id, status, row["type"], row["queue"], PRIORITY_BY_LABEL[row["priority"]])
    return Settled(move.job_id, None)


# ------------------------------------------------------------------------------------------------- note


def note_values(notes: Sequence[Note], now: datetime) -> Values:
    """What the query ``note`` takes, in the order of ids. Notes of one attempt become one, the later one over."""
    merged: dict[tuple[JobId, int], Note] = {}
    for note in notes:
        name = (note.job_id, note.attempt)
        before = merged.get(name, note)
        progress = before.progress if note.progress is None else note.progress
        checkpoint = before.checkpoint if note.checkpoint is None else note.checkpoint
        merged[name] = Note(*name, progress, checkpoint)
    sent = [merged[name] for name in sorted(merged)]
    return {
        "now": now,
        "ids": [note.job_id for note in sent],
        "attempts": [note.attempt for note in sent],
        "progress": [note.progress for note in sent],
        "checkpoints": [note.checkpoint for note in sent],
    }


# ---------------------------------------------------------------------------------- promote, operate, prune


def promoted(rows: Sequence[Row]) -> Promoted:
    """The answer of the query ``promote_due``."""
    hints = tuple(
        Hint(job_id(row), row["queue"], PRIORITY_BY_LABEL[row["priority"]]) for row in rows if row["id"] is not None
    )
    return Promoted(hints, rows[0]["next_run_at"])


def operate_values(verb: Verb, ids: Sequence[JobId], now: datetime) -> Values:
    """What the query of ``verb`` takes. Raises ``ValueError`` where it is no operator's verb."""
    sources = sources_of(verb, Actor.OPERATOR)
    if not sources:
        raise ValueError(f"{verb} is no operator's verb")
    return {
        "ids": list(dict.fromkeys(ids)),
        "sources": sorted(source.value for source in sources),
        "target": target_of(verb).value,
        "now": now,
    }


def operated(verb: Verb, ids: Sequence[JobId], rows: Sequence[Row]) -> list[Operated]:
    """What became of each id, in order. An id that stands twice was first moved, and met again where it then stood."""
    found: dict[JobId, Operated] = {job_id(row): _operated(row) for row in rows}
    results: list[Operated] = []
    for asked in ids:
        result = found.get(asked, Operated(asked, None, None))
        results.append(result)
        if result.after is not None:
            still_asked = result.after if verb is Verb.CANCEL and result.after is Status.PROCESSING else None
            found[asked] = Operated(asked, result.after, still_asked, result.type, result.queue, result.priority)
    return results


def delete_values(ids: Sequence[JobId]) -> Values:
    """What the query ``delete`` takes."""
    return {"ids": list(dict.fromkeys(ids)), "sources": sorted(status.value for status in FINAL)}


def deleted(ids: Sequence[JobId], rows: Sequence[Row]) -> list[Operated]:
    """What became of each id, in order. An id that stands twice was gone when it was met again."""
    found = {job_id(row): _operated(row) for row in rows}
    results: list[Operated] = []
    for asked in ids:
        result = found.get(asked, Operated(asked, None, None))
        results.append(result)
        if result.after is not None:
            del found[asked]
    return results


def erase_values(ids: Sequence[JobId], now: datetime) -> Values:
    """What the query ``erase`` takes."""
    return {**delete_values(ids), "text": ERASED_TEXT, "now": now}


def erased(ids: Sequence[JobId], rows: Sequence[Row]) -> list[Operated]:
    """What became of each id, in order: twice is once."""
    found = {job_id(row): _operated(row) for row in rows}
    return [found.get(asked, Operated(asked, None, None)) for asked in ids]


def _operated(row: Row) -> Operated:
    return Operated(
        job_id(row),
        Status(row["before"]),
        None if row["after"] is None else Status(row["after"]),
        row["type"],
        row["queue"],
        PRIORITY_BY_LABEL[row["priority"]],
    )


def smallest_id_at(moment: datetime) -> JobId:
    """The smallest UUIDv7 of a millisecond (RFC 9562 section 5.7)."""
    digits = f"{max(0, (moment - _EPOCH) // timedelta(milliseconds=1)):012x}"
    return JobId(f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000")


# ------------------------------------------------------------------------------------------------ types


def publish_values(types: Sequence[PublishedType], now: datetime) -> Values:
    """What the query ``publish_types`` takes."""
    return {
        "names": [told.name for told in types],
        "queues": [told.queue for told in types],
        "max_attempts": [told.max_attempts for told in types],
        "max_crashes": [told.max_crashes for told in types],
        "timeout_seconds": [told.timeout_seconds for told in types],
        "backoff_base_seconds": [told.backoff.base_seconds for told in types],
        "backoff_cap_seconds": [told.backoff.cap_seconds for told in types],
        "own_base_seconds": [told.own_backoff.base_seconds for told in types],
        "own_cap_seconds": [told.own_backoff.cap_seconds for told in types],
        "schemas": [told.schema for told in types],
        "published_at": [told.published_at for told in types],
        "now": now,
        "stale": now - TYPE_REFRESH,
    }
