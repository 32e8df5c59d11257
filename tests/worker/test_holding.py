"""What a beat's answer means for what is held: pure bookkeeping, every race spelled out and then drawn at random."""

from __future__ import annotations

import pytest

from tests.worker.attempts import an_attempt
from treadle.ids import JobId, new_job_id
from treadle.store.protocol import HeldJob
from treadle.testing import ManualClock
from treadle.worker.attempt import Attempt
from treadle.worker.holding import Holding


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def holding() -> Holding:
    return Holding()


def take(holding: Holding, clock: ManualClock, **job: object) -> Attempt:
    """Claim one job, and let a little time pass."""
    number = holding.begin_claim()
    attempt = an_attempt(clock, **job)  # type: ignore[arg-type]
    holding.end_claim(number, [attempt])
    clock.advance(0.1)
    return attempt


def row_of(attempt: Attempt, *, cancel_requested: bool = False) -> HeldJob:
    return HeldJob(attempt.id, attempt.job.attempt, cancel_requested)


# ---------------------------------------------------------------------------- held here


async def test_what_is_held_here_and_there_is_left_alone(holding: Holding, clock: ManualClock) -> None:
    attempt = take(holding, clock)

    told = holding.compare([row_of(attempt)], clock.rising())

    assert (told.lost, told.cancelled, told.unheld) == ([], [], [])
    assert len(holding) == 1


async def test_what_is_held_here_but_no_longer_ours_there_is_lost(holding: Holding, clock: ManualClock) -> None:
    gone, kept = take(holding, clock), take(holding, clock)

    told = holding.compare([row_of(kept)], clock.rising())

    assert told.lost == [gone]


async def test_what_was_claimed_after_the_beat_was_sent_is_not_lost(holding: Holding, clock: ManualClock) -> None:
    sent_at = clock.rising()
    clock.advance(0.1)
    fresh = take(holding, clock)

    assert holding.compare([], sent_at).lost == []
    assert holding.compare([], clock.rising()).lost == [fresh]


async def test_what_is_being_settled_hears_its_fate_from_the_settle(holding: Holding, clock: ManualClock) -> None:
    attempt = take(holding, clock)
    attempt.is_settling = True

    assert holding.compare([], clock.rising()).lost == []


@pytest.mark.parametrize("there", [1, 3])
async def test_another_attempt_of_a_held_job_means_this_one_is_lost(
    holding: Holding, clock: ManualClock, there: int
) -> None:
    attempt = take(holding, clock, attempt=2)

    told = holding.compare([HeldJob(attempt.id, there, False)], clock.rising())

    assert told.lost == [attempt]


async def test_a_cancel_request_is_told_for_what_is_held(holding: Holding, clock: ManualClock) -> None:
    asked, other = take(holding, clock), take(holding, clock)

    told = holding.compare([row_of(asked, cancel_requested=True), row_of(other)], clock.rising())

    assert told.cancelled == [asked]
    assert told.lost == []


async def test_a_cancel_request_for_another_attempt_is_not_this_ones(holding: Holding, clock: ManualClock) -> None:
    attempt = take(holding, clock, attempt=2)

    told = holding.compare([HeldJob(attempt.id, 1, True)], clock.rising())

    assert told.cancelled == []


async def test_letting_go_of_everything_says_what_was_held(holding: Holding, clock: ManualClock) -> None:
    attempts = [take(holding, clock), take(holding, clock)]

    assert list(holding.clear()) == attempts
    assert len(holding) == 0


async def test_a_dropped_attempt_does_not_take_its_successor_along(holding: Holding, clock: ManualClock) -> None:
    first = take(holding, clock, attempt=1)
    second = take(holding, clock, id=first.id, attempt=2)

    holding.drop(first)

    assert holding.attempts == (second,)


# ------------------------------------------------------------------------- not held here

STRAY = HeldJob(new_job_id(), 1, False)


async def test_an_unknown_row_is_released_at_the_second_beat_that_finds_it(
    holding: Holding, clock: ManualClock
) -> None:
    assert holding.compare([STRAY], clock.rising()).unheld == []
    assert holding.compare([STRAY], clock.rising()).unheld == [(STRAY.job_id, STRAY.attempt)]


async def test_an_unknown_row_that_is_gone_at_the_next_beat_is_forgotten(holding: Holding, clock: ManualClock) -> None:
    holding.compare([STRAY], clock.rising())
    holding.compare([], clock.rising())

    assert holding.compare([STRAY], clock.rising()).unheld == []


async def test_an_unknown_row_waits_for_every_claim_that_was_out_when_it_was_first_seen(
    holding: Holding, clock: ManualClock
) -> None:
    first, second = holding.begin_claim(), holding.begin_claim()
    holding.compare([STRAY], clock.rising())

    holding.end_claim(first, [])
    assert holding.compare([STRAY], clock.rising()).unheld == []

    holding.end_claim(second, [])
    assert holding.compare([STRAY], clock.rising()).unheld != []


async def test_a_claim_that_began_after_an_unknown_row_was_seen_does_not_keep_it(
    holding: Holding, clock: ManualClock
) -> None:
    holding.compare([STRAY], clock.rising())
    holding.begin_claim()

    assert holding.compare([STRAY], clock.rising()).unheld != []


async def test_a_row_whose_claim_is_answered_in_time_is_held_and_not_released(
    holding: Holding, clock: ManualClock
) -> None:
    number = holding.begin_claim()
    attempt = an_attempt(clock)
    holding.compare([row_of(attempt)], clock.rising())

    holding.end_claim(number, [attempt])

    told = holding.compare([row_of(attempt)], clock.rising())
    assert (told.unheld, told.lost) == ([], [])


async def test_a_newer_attempt_of_a_held_job_that_nobody_answered_for_is_released(
    holding: Holding, clock: ManualClock
) -> None:
    held = take(holding, clock, attempt=1)
    newer = HeldJob(held.id, 2, False)

    assert holding.compare([newer], clock.rising()).unheld == []
    assert holding.compare([newer], clock.rising()).unheld == [(held.id, 2)]


async def test_a_beat_that_is_older_than_what_is_held_releases_nothing(holding: Holding, clock: ManualClock) -> None:
    sent_at = clock.rising()
    clock.advance(0.1)
    held = take(holding, clock, attempt=2)
    older = HeldJob(held.id, 1, False)

    for _ in range(3):
        told = holding.compare([older], sent_at)
        assert (told.unheld, told.lost) == ([], [])


async def test_a_new_identity_starts_without_suspicions(holding: Holding, clock: ManualClock) -> None:
    holding.compare([STRAY], clock.rising())

    holding.clear()

    assert holding.compare([STRAY], clock.rising()).unheld == []


async def test_an_unknown_row_that_was_not_asked_for_is_as_suspect_as_before(
    holding: Holding, clock: ManualClock
) -> None:
    holding.compare([STRAY], clock.rising())
    holding.compare([], clock.rising(), is_whole=False)

    assert holding.compare([STRAY], clock.rising()).unheld == [(STRAY.job_id, STRAY.attempt)]


async def test_a_newer_attempt_of_a_held_job_is_released_by_looks_at_what_is_held_too(
    holding: Holding, clock: ManualClock
) -> None:
    held = take(holding, clock, attempt=1)
    newer = HeldJob(held.id, 2, False)

    assert holding.compare([newer], clock.rising(), is_whole=False).unheld == []
    assert holding.compare([newer], clock.rising(), is_whole=False).unheld == [(held.id, 2)]
    assert holding.compare([newer], clock.rising(), is_whole=False).unheld == []


async def test_a_look_is_clear_while_every_row_is_known(holding: Holding, clock: ManualClock) -> None:
    held = take(holding, clock)

    assert holding.compare([row_of(held)], clock.rising()).is_clear
    assert not holding.compare([row_of(held), STRAY], clock.rising()).is_clear  # suspected
    assert not holding.compare([row_of(held), STRAY], clock.rising()).is_clear  # to be released
    assert holding.compare([row_of(held)], clock.rising()).is_clear


async def test_what_is_being_settled_is_not_asked_for(holding: Holding, clock: ManualClock) -> None:
    running, ended = take(holding, clock), take(holding, clock)
    ended.is_settling = True

    assert holding.in_question == [running.id]


async def test_what_is_held_and_missing_is_lost_at_a_look_at_what_is_held_too(
    holding: Holding, clock: ManualClock
) -> None:
    gone, kept = take(holding, clock), take(holding, clock)

    assert holding.compare([row_of(kept)], clock.rising(), is_whole=False).lost == [gone]


async def test_each_attempt_of_a_job_is_suspected_on_its_own(holding: Holding, clock: ManualClock) -> None:
    job_id: JobId = STRAY.job_id
    holding.compare([HeldJob(job_id, 1, False)], clock.rising())

    assert holding.compare([HeldJob(job_id, 2, False)], clock.rising()).unheld == []
    assert holding.compare([HeldJob(job_id, 2, False)], clock.rising()).unheld == [(job_id, 2)]
