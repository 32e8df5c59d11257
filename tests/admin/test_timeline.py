"""The line of a job's time: what is on it, how long, and that it is as long as the line."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.builders import NOW, an_attempt_error
from treadle.admin.timeline import timeline
from treadle.job import MAX_KEPT_ERRORS, AttemptError, StoredJob
from treadle.states import Status


def a_stored_job(**members: Any) -> StoredJob:
    nothing = dict.fromkeys(StoredJob.__struct_fields__, None)
    return StoredJob(**{**nothing, "created_at": NOW, "attempt": 0, **members})


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def a_fault(attempt: int, start: float, end: float) -> AttemptError:
    return an_attempt_error(attempt=attempt, started_at=at(start), ended_at=at(end))


def drawn(*faults: AttemptError, now: float = 0, **members: Any) -> list[tuple[str, float]]:
    line = timeline(a_stored_job(**members), faults, at(now)).stretches
    if line:
        assert line[-1].left + line[-1].width == pytest.approx(100, abs=0.01)
    return [(stretch.kind, stretch.width) for stretch in line]


def test_a_wait_and_a_run_have_their_shares() -> None:
    ended: dict[str, Any] = {"status": Status.COMPLETED, "attempt": 1, "started_at": at(30), "finished_at": at(40)}
    assert drawn(**ended) == [("wait", 75.0), ("run", 25.0)]


def test_failed_attempts_and_the_waits_between_them_are_told_apart() -> None:
    ended: dict[str, Any] = {"status": Status.COMPLETED, "attempt": 2, "started_at": at(60), "finished_at": at(80)}
    assert drawn(a_fault(1, 20, 40), **ended) == [("wait", 25.0), ("fault", 25.0), ("wait", 25.0), ("run", 25.0)]


def test_what_was_before_a_snooze_is_waiting_and_not_left_out() -> None:
    snoozed: dict[str, Any] = {"status": Status.COMPLETED, "attempt": 3, "started_at": at(90), "finished_at": at(100)}
    assert drawn(**snoozed) == [("wait", 90.0), ("run", 10.0)]


def test_a_line_whose_first_errors_are_gone_begins_at_the_first_that_is_kept() -> None:
    faults = [a_fault(n + 10, 1000 + 2 * n, 1001 + 2 * n) for n in range(MAX_KEPT_ERRORS)]
    failed: dict[str, Any] = {"status": Status.FAILED, "attempt": 34, "started_at": at(1048), "finished_at": at(1049)}
    line = drawn(*faults, **failed)
    assert line[0][0] == "fault"
    assert len(line) == 2 * MAX_KEPT_ERRORS - 1


def test_a_failed_job_ends_with_its_last_fault() -> None:
    failed: dict[str, Any] = {"status": Status.FAILED, "attempt": 1, "started_at": at(10), "finished_at": at(20)}
    assert drawn(a_fault(1, 10, 20), **failed) == [("wait", 50.0), ("fault", 50.0)]


def test_what_runs_or_waits_grows_until_now() -> None:
    assert drawn(now=50, status=Status.PROCESSING, attempt=1, started_at=at(25)) == [("wait", 50.0), ("run", 50.0)]
    assert drawn(now=50, status=Status.QUEUED) == [("wait", 100.0)]
    retrying: dict[str, Any] = {"status": Status.RETRYING, "attempt": 1, "started_at": at(10)}
    assert drawn(a_fault(1, 10, 20), now=40, **retrying) == [("wait", 25.0), ("fault", 25.0), ("wait", 50.0)]


def test_a_job_of_this_very_moment_has_no_line() -> None:
    assert drawn(now=0, status=Status.QUEUED) == []


def test_a_short_attempt_in_a_long_life_is_seen() -> None:
    day = 86_400.0
    ended: dict[str, Any] = {
        "status": Status.COMPLETED,
        "attempt": 1,
        "started_at": at(day),
        "finished_at": at(day + 1),
    }
    [(_, waited), (kind, ran)] = drawn(**ended)
    assert kind == "run"
    assert ran == pytest.approx(1, abs=0.02)
    assert waited > 98
