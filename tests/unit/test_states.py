"""The golden grid: every status x every verb x cancel requested or not, spelled by hand.

Nothing here is derived from the table in ``states.py``: with the table as its own oracle a lost edge goes
unnoticed.
"""

from __future__ import annotations

import pytest

from treadle.states import (
    FINAL,
    INITIAL,
    TRANSITIONS,
    UNFINISHED,
    Actor,
    Status,
    Verb,
    next_status,
    operator_verbs,
    sources_of,
    target_of,
)

VERBS = ["promote", "claim", "complete", "retry", "fail", "bury", "snooze", "release", "cancel", "abort", "requeue"]

# Where each verb (column, in the order of VERBS) leads from each status (first word); "-": nowhere.
NOBODY_ASKED_TO_CANCEL = """
scheduled  queued -          -         -        -      -    -         -      cancelled -         -
queued     -      processing -         -        -      -    -         -      cancelled -         -
processing -      -          completed retrying failed dead scheduled queued -         cancelled -
retrying   queued -          -         -        -      dead -         -      cancelled -         -
completed  -      -          -         -        -      -    -         -      -         -         -
failed     -      -          -         -        -      dead -         -      -         -         queued
dead       -      -          -         -        -      -    -         -      -         -         queued
cancelled  -      -          -         -        -      -    -         -      -         -         queued
"""

A_CANCEL_WAS_REQUESTED = """
scheduled  queued -          -         -         -         -         -         -         cancelled -         -
queued     -      processing -         -         -         -         -         -         cancelled -         -
processing -      -          completed cancelled cancelled cancelled cancelled cancelled -         cancelled -
retrying   queued -          -         -         -         dead      -         -         cancelled -         -
completed  -      -          -         -         -         -         -         -         -         -         -
failed     -      -          -         -         -         dead      -         -         -         -         queued
dead       -      -          -         -         -         -         -         -         -         -         queued
cancelled  -      -          -         -         -         -         -         -         -         -         queued
"""

# Which verbs each actor may use on a job in each status; a status that is not named: none.
WHO = {
    "promoter": {"scheduled": "promote", "retrying": "promote"},
    "worker": {"queued": "claim"},
    "settler": {"processing": "complete retry fail bury snooze release abort"},
    "operator": {
        "scheduled": "cancel",
        "queued": "cancel",
        "retrying": "bury cancel",
        "failed": "bury requeue",
        "dead": "requeue",
        "cancelled": "requeue",
    },
}


def _cells(grid: str) -> dict[tuple[str, str], str | None]:
    rows = [line.split() for line in grid.strip().splitlines()]
    assert [len(row) for row in rows] == [1 + len(VERBS)] * 8
    return {
        (status, verb): None if cell == "-" else cell
        for status, *cells in rows
        for verb, cell in zip(VERBS, cells, strict=True)
    }


def test_the_grids_name_every_status_and_every_verb_once() -> None:
    for grid in (NOBODY_ASKED_TO_CANCEL, A_CANCEL_WAS_REQUESTED):
        assert len(_cells(grid)) == 8 * 11
        assert set(_cells(grid)) == {(str(status), str(verb)) for status in Status for verb in Verb}


@pytest.mark.parametrize(
    ("cancel_requested", "grid"),
    [(False, NOBODY_ASKED_TO_CANCEL), (True, A_CANCEL_WAS_REQUESTED)],
    ids=["nobody asked to cancel", "a cancel was requested"],
)
def test_every_verb_leads_from_every_status_exactly_where_the_grid_says(cancel_requested: bool, grid: str) -> None:
    reached = {
        (status, verb): next_status(Status(status), Verb(verb), cancel_requested=cancel_requested)
        for status, verb in _cells(grid)
    }

    assert reached == _cells(grid)


@pytest.mark.parametrize("actor", list(WHO))
def test_an_actor_may_use_exactly_the_verbs_that_are_his(actor: str) -> None:
    for status in Status:
        allowed = {str(verb) for verb in Verb if status in sources_of(verb, Actor(actor))}

        assert allowed == set(WHO[actor].get(str(status), "").split()), status


def test_every_actor_is_in_the_table_of_who_may_do_what() -> None:
    assert {str(actor) for actor in Actor} == set(WHO)


@pytest.mark.parametrize("verb", ["bury", "abort", "complete", "retry", "fail", "release"])
def test_an_operator_cannot_end_a_running_attempt(verb: str) -> None:
    assert Status.PROCESSING not in sources_of(Verb(verb), Actor.OPERATOR)


def test_a_promoter_only_promotes_and_a_worker_only_claims() -> None:
    assert [verb for verb in Verb if sources_of(verb, Actor.PROMOTER)] == [Verb.PROMOTE]
    assert [verb for verb in Verb if sources_of(verb, Actor.WORKER)] == [Verb.CLAIM]


def test_a_settler_touches_nothing_but_a_running_job() -> None:
    for verb in Verb:
        assert sources_of(verb, Actor.SETTLER) <= {Status.PROCESSING}


@pytest.mark.parametrize("verb", ["retry", "fail", "bury", "snooze", "release", "abort"])
def test_every_way_out_of_processing_but_complete_ends_in_cancelled_once_that_was_requested(
    verb: str,
) -> None:
    assert target_of(Verb(verb), cancel_requested=True) is Status.CANCELLED
    assert target_of(Verb.COMPLETE, cancel_requested=True) is Status.COMPLETED


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        ("promote", "queued"),
        ("claim", "processing"),
        ("complete", "completed"),
        ("retry", "retrying"),
        ("fail", "failed"),
        ("bury", "dead"),
        ("snooze", "scheduled"),
        ("release", "queued"),
        ("cancel", "cancelled"),
        ("abort", "cancelled"),
        ("requeue", "queued"),
    ],
)
def test_a_verb_has_one_target_wherever_it_comes_from(verb: str, target: str) -> None:
    assert target_of(Verb(verb)) is Status(target)
    assert {row.target for row in TRANSITIONS if row.verb is Verb(verb)} == {Status(target)}


def test_a_new_job_is_queued_or_scheduled() -> None:
    assert {"queued", "scheduled"} == INITIAL


def test_four_statuses_are_final_and_the_others_are_unfinished() -> None:
    assert {"completed", "failed", "dead", "cancelled"} == FINAL
    assert {"scheduled", "queued", "processing", "retrying"} == UNFINISHED


def test_a_completed_job_stays_as_it_is_whoever_asks() -> None:
    assert not any(next_status(Status.COMPLETED, verb) for verb in Verb)


@pytest.mark.parametrize(
    ("status", "verbs"),
    [
        ("scheduled", ["cancel"]),
        ("queued", ["cancel"]),
        ("processing", []),
        ("retrying", ["bury", "cancel"]),
        ("completed", []),
        ("failed", ["bury", "requeue"]),
        ("dead", ["requeue"]),
        ("cancelled", ["requeue"]),
    ],
)
def test_an_operator_is_offered_what_he_may_do_in_the_order_of_the_table(status: str, verbs: list[str]) -> None:
    assert list(operator_verbs(Status(status))) == verbs


def test_statuses_and_verbs_are_spelled_as_they_are_published() -> None:
    assert [str(status) for status in Status] == (
        ["scheduled", "queued", "processing", "retrying", "completed", "failed", "dead", "cancelled"]
    )
    assert [str(verb) for verb in Verb] == VERBS
    assert {f"{status}" for status in FINAL} <= {"completed", "failed", "dead", "cancelled"}
