"""The verdict finds what it is there to find: each lie told to it, one at a time, in records otherwise right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.torture.evidence import Evidence
from tests.torture.fleet import LEASE_SECONDS, Hurt
from tests.torture.ledger import Line
from tests.torture.mailsink import Mail
from tests.torture.orders import Orders
from tests.torture.verdict import judge

EXPORT, MAIL, STEPS = (f"01890000-0000-7000-8000-00000000000{n}" for n in range(3))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORKER, PID = "worker-a", 4711


def an_error(attempt: int, kind: str) -> dict[str, Any]:
    return {
        "attempt": attempt,
        "kind": kind,
        "message": kind,
        "worker": WORKER,
        "startedAt": NOON.isoformat(),
        "endedAt": (NOON + timedelta(seconds=5)).isoformat(),
    }


def a_job(job_id: str, type: str, **members: Any) -> dict[str, Any]:
    plain = {"id": job_id, "type": type, "status": "completed", "attempts": 1, "failures": 0, "crashes": 0}
    return {**plain, "errors": [], "error": None, "result": {}, **members}


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """A run of three jobs. The third was killed once in its first attempt, with a step saved; the second cut once."""
    orders = Orders(1, 3)
    (tmp_path / f"{EXPORT}.csv").write_bytes(orders.csv(0))
    (tmp_path / f"{STEPS}.2.receipt.txt").write_bytes(b"2 2\n")
    steps = {"attempts": 2, "crashes": 1, "errors": [an_error(1, "crash")], "result": {"number": 2, "attempt": 2}}
    mail = {"attempts": 2, "failures": 1, "errors": [an_error(1, "AnswerLost")]}
    recipient = orders.recipients(1)[0]
    return Evidence(
        orders=orders,
        acked={EXPORT: 0, MAIL: 1, STEPS: 2},
        answered_twice=[],
        doubtful={},
        jobs={
            EXPORT: a_job(EXPORT, "CSV_EXPORT"),
            MAIL: a_job(MAIL, "EMAIL_SEND", **mail),
            STEPS: a_job(STEPS, "STEPS", **steps),
        },
        ledger=[
            Line("start", EXPORT, 1, 0),
            Line("start", MAIL, 1, 0),
            Line("start", STEPS, 1, 0),
            Line("saved", STEPS, 1, 1),
            Line("start", MAIL, 2, 0),
            Line("start", STEPS, 2, 1),
        ],
        effects=[Line("effect", STEPS, 1, 0), Line("effect", STEPS, 2, 1)],
        mails={MAIL: Mail(Counter({recipient: 2}), {"digest"}, Counter({recipient: 1}))},
        output=tmp_path,
        hurts=[Hurt("worker0", PID, "kill", NOON + timedelta(seconds=2))],
        leases={WORKER: PID},
    )


def changed(evidence: Evidence, job_id: str, **members: Any) -> Evidence:
    """The same, with one job's row another."""
    return replace(evidence, jobs={**evidence.jobs, job_id: {**evidence.jobs[job_id], **members}})


def and_started(evidence: Evidence, job_id: str, attempt: int) -> Evidence:
    return replace(evidence, ledger=[*evidence.ledger, Line("start", job_id, attempt, 9)])


def without_a_job(evidence: Evidence, job_id: str) -> Evidence:
    return replace(evidence, jobs={i: job for i, job in evidence.jobs.items() if i != job_id})


def paused_for(evidence: Evidence, seconds: float) -> Evidence:
    at = NOON + timedelta(seconds=1)
    return replace(evidence, hurts=[Hurt("worker0", PID, "pause", at, at + timedelta(seconds=seconds))])


def with_file(evidence: Evidence, name: str, content: bytes) -> Evidence:
    (evidence.output / name).write_bytes(content)
    return evidence


def with_copies(evidence: Evidence, copies: int, contents: set[str]) -> Evidence:
    recipient = evidence.orders.recipients(1)[0]
    return replace(evidence, mails={MAIL: Mail(Counter({recipient: copies}), contents, Counter({recipient: 1}))})


LIES: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "an acknowledged job is gone": (lambda e: without_a_job(e, EXPORT), "LOST: .* was acknowledged"),
    "an order was never answered": (
        lambda e: replace(e, acked={EXPORT: 0, MAIL: 1}, doubtful={2: 1}),
        "never acknowledged",
    ),
    "one key made two jobs": (
        lambda e: replace(e, jobs={**e.jobs, "x": a_job("x", "STEPS", result={"number": 2})}, doubtful={1: 1}),
        "no submission was in doubt",
    ),
    "one id for two orders": (lambda e: replace(e, answered_twice=[EXPORT]), "two orders"),
    "another type": (lambda e: changed(e, EXPORT, type="EMAIL_SEND"), "as another type"),
    "a failed job": (lambda e: changed(e, EXPORT, status="failed"), "is failed"),
    "a dead job": (lambda e: changed(e, STEPS, status="dead"), "is dead"),
    "an open job": (lambda e: changed(e, STEPS, status="processing"), "is processing"),
    "an attempt started twice": (lambda e: and_started(e, EXPORT, 1), "started 2 times"),
    "a start behind the last attempt": (lambda e: and_started(e, EXPORT, 2), "nothing says why"),
    "a start that nothing replaced": (lambda e: changed(e, STEPS, errors=[], crashes=0), "nothing says why"),
    "a start of an unknown job": (lambda e: and_started(e, "nobody", 1), "was started, and is not there"),
    "a result without a start": (
        lambda e: changed(e, EXPORT, attempts=2, errors=[an_error(1, "crash")], crashes=1),
        "never started",
    ),
    "an attempt that vanished": (lambda e: changed(e, STEPS, attempts=3), "nothing says how"),
    "crashes that are not on record": (lambda e: changed(e, STEPS, crashes=2), "on record are"),
    "a crash that nobody did": (lambda e: replace(e, hurts=[]), "nothing had been done"),
    "a crash of another process": (lambda e: replace(e, leases={WORKER: 1}), "nothing had been done"),
    "a crash before the kill": (
        lambda e: replace(e, hurts=[Hurt("worker0", PID, "kill", NOON + timedelta(seconds=7))]),
        "nothing had been done",
    ),
    "a lease lost in everybody's sleep": (
        lambda e: replace(paused_for(e, 9), hurts=[replace(h, kind="suspend") for h in paused_for(e, 9).hurts]),
        "nothing had been done",
    ),
    "a lease lost by a doze": (lambda e: paused_for(e, LEASE_SECONDS / 2), "nothing had been done"),
    "a worker that took a queue along": (lambda e: replace(e, concurrency=0), "took 1 jobs along"),
    "a failure that nobody ordered": (
        lambda e: changed(e, STEPS, errors=[an_error(1, "KeyError")], crashes=0, failures=1),
        "failed with KeyError",
    ),
    "a stale attempt's result": (lambda e: changed(e, STEPS, result={"number": 2, "attempt": 1}), "the result is"),
    "another order's result": (lambda e: changed(e, STEPS, result={"number": 5, "attempt": 2}), "the result is"),
    "a receipt that is not there": (
        lambda e: with_file(e, f"{STEPS}.2.receipt.txt", b"2 1\n"),
        "not what its attempt wrote",
    ),
    "a saved step forgotten": (
        lambda e: replace(e, ledger=[*e.ledger[:-1], Line("start", STEPS, 2, 0)]),
        "had been saved",
    ),
    "a step left out": (lambda e: replace(e, effects=e.effects[1:]), "its effects are of steps"),
    "half a file": (lambda e: with_file(e, f"{EXPORT}.csv", e.orders.csv(0)[:-4]), "TORN"),
    "an empty file": (lambda e: with_file(e, f"{EXPORT}.csv", b""), "TORN"),
    "another order's file": (lambda e: with_file(e, f"{EXPORT}.csv", e.orders.csv(3)), "holds the rows of order 3"),
    "a half-written file left over": (
        lambda e: with_file(e, f".{EXPORT}.csv.0123456789abcdef.tmp", b""),
        "is left over",
    ),
    "a copy too many": (lambda e: with_copies(e, 3, {"digest"}), "got 3 copies"),
    "no mail": (lambda e: replace(e, mails={}), "got nothing"),
    "copies that differ": (lambda e: with_copies(e, 2, {"digest", "other"}), "the copies differ"),
    "mail of nobody": (lambda e: replace(e, mails={**e.mails, "nobody": Mail()}), "which is not there"),
    "an illegal row": (lambda e: replace(e, illegal={"past its budget": [EXPORT]}), "past its budget"),
    "a process that died by itself": (lambda e: replace(e, wrong=["api0 ended by itself"]), "ended by itself"),
}


def test_right_records_are_good(evidence: Evidence) -> None:
    assert judge(evidence).is_good, str(judge(evidence))


@pytest.mark.parametrize("lie", LIES)
def test_the_verdict_finds(evidence: Evidence, lie: str) -> None:
    told, said = LIES[lie]

    verdict = judge(told(evidence))

    found = [text for violations in verdict.violations.values() for text in violations]
    assert any(re.search(said, text) for text in found), found


def test_what_is_explained_is_no_violation(evidence: Evidence) -> None:
    paused = paused_for(evidence, 2 * LEASE_SECONDS)
    doubtful = replace(evidence, jobs={**evidence.jobs, "x": a_job("x", "EMAIL_SEND")}, doubtful={1: 1})
    another = Mail(Counter(evidence.orders.recipients(1)), {"another"})
    doubtful = and_started(replace(doubtful, mails={**doubtful.mails, "x": another}), "x", 1)
    snoozed = replace(changed(and_started(evidence, MAIL, 3), MAIL, attempts=3), snoozes={MAIL: 1})
    given_back = replace(
        changed(and_started(evidence, EXPORT, 2), EXPORT, attempts=2), ledger=_as_second(evidence), released={EXPORT: 1}
    )
    left_by_a_kill = with_file(evidence, f".{STEPS}.1.receipt.txt.0123456789abcdef.tmp", b"")

    for good in (paused, doubtful, snoozed, given_back, left_by_a_kill):
        assert judge(good).is_good, str(judge(good))


def _as_second(evidence: Evidence) -> list[Line]:
    """The ledger, where the export's only start is its second attempt."""
    return [replace(line, attempt=2) if line.job_id == EXPORT else line for line in evidence.ledger]
