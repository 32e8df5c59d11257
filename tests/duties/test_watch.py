"""A lease expires by observation: a counter that stood still for a whole lease of the observer's own, unbroken time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.duties.reaper import Watch
from treadle.ids import WorkerId

LEASE, GAP = 10.0, 5.0
A = WorkerId("a")


@pytest.fixture
def watch() -> Watch:
    return Watch(LEASE, GAP)


def look(watch: Watch, now: float, **beats: int) -> list[tuple[str, int]]:
    """A look whose read takes no time."""
    return [(str(worker), beat) for worker, beat in watch.look([(WorkerId(w), b) for w, b in beats.items()], now, now)]


def look_every(watch: Watch, seconds: float, until: float, start: float = 0.0, **beats: int) -> list[tuple[str, int]]:
    """Looks from ``start`` to ``until``; what the last one found."""
    found: list[tuple[str, int]] = []
    for step in range(round((until - start) / seconds) + 1):
        found = look(watch, start + step * seconds, **beats)
    return found


def test_a_counter_that_stands_still_for_a_whole_lease_is_expired_and_not_before(watch: Watch) -> None:
    assert look_every(watch, 1, LEASE - 1, a=3) == []

    assert look(watch, LEASE, a=3) == [("a", 3)]


def test_the_first_look_expires_nobody_however_old_the_counter_is(watch: Watch) -> None:
    assert look(watch, 1e9, a=3) == []


def test_a_beat_saves(watch: Watch) -> None:
    look_every(watch, 1, LEASE - 1, a=3)

    assert look_every(watch, 1, 2 * LEASE - 1, start=LEASE, a=4) == []
    assert look(watch, 2 * LEASE, a=4) == [("a", 4)]


def test_a_counter_that_went_back_is_another_life(watch: Watch) -> None:
    look_every(watch, 1, LEASE - 1, a=3)

    assert look(watch, LEASE, a=0) == []


def test_each_worker_has_a_time_of_its_own(watch: Watch) -> None:
    look_every(watch, 1, LEASE - 1, a=3)

    assert look(watch, LEASE, a=3, b=9) == [("a", 3)]
    assert look_every(watch, 1, 2 * LEASE, start=LEASE + 1, b=9) == [("b", 9)]


def test_a_worker_that_was_not_there_for_a_look_starts_over(watch: Watch) -> None:
    look_every(watch, 1, LEASE - 1, a=3)
    look(watch, LEASE - 1, b=1)

    assert look(watch, LEASE, a=3, b=1) == []


def test_a_failed_look_forgets(watch: Watch) -> None:
    look_every(watch, 1, LEASE - 1, a=3)

    watch.forget()

    assert look_every(watch, 1, 2 * LEASE - 1, start=LEASE, a=3) == []
    assert look(watch, 2 * LEASE, a=3) == [("a", 3)]


def test_a_gap_in_the_observers_own_time_forgets(watch: Watch) -> None:
    look_every(watch, 1, 6, a=3)

    assert look(watch, 6 + GAP + 0.1, a=3) == []
    assert look_every(watch, 1, 6 + GAP + LEASE, start=7 + GAP, a=3) == []


def test_a_pause_that_is_no_gap_forgets_nothing(watch: Watch) -> None:
    look_every(watch, GAP, LEASE - GAP, a=3)

    assert look(watch, LEASE, a=3) == [("a", 3)]


def test_a_gap_longer_than_the_lease_expires_nobody(watch: Watch) -> None:
    look(watch, 0, a=3)

    assert look(watch, 1000, a=3) == []


def test_a_slow_read_is_not_a_silent_worker() -> None:
    watch = Watch(LEASE, 3 * LEASE)
    look(watch, 0, a=3)

    # Asked right away, answered a lease later: the counter may have moved ever since it was read.
    assert watch.look([(A, 3)], 0.1, LEASE + 1) == []
    assert watch.look([(A, 3)], LEASE + 1, LEASE + 1) == [(A, 3)]


def test_time_is_counted_from_the_answer_that_first_showed_the_counter() -> None:
    watch = Watch(LEASE, 3 * LEASE)
    watch.look([(A, 3)], 0, LEASE)

    assert watch.look([(A, 3)], LEASE + 1, LEASE + 1) == []
    assert watch.look([(A, 3)], 2 * LEASE, 2 * LEASE) == [(A, 3)]


# ----------------------------------------------------------------------------------- at random


@dataclass
class Look:
    """One look of the observer: how long since the last one, how long the read took, and whether it failed."""

    pause: float
    to_snapshot: float
    to_answer: float
    fails: bool


durations = st.floats(0, 8) | st.sampled_from([0.0, 0.5, 1.0])
looks = st.builds(Look, durations, durations, durations, st.integers(0, 9).map(lambda n: n == 0))


@settings(max_examples=200, deadline=None)
@given(
    looks=st.lists(looks, min_size=1, max_size=25),
    pauses=st.lists(st.floats(0.1, 25), min_size=1, max_size=15),
    gap=st.sampled_from([GAP, 3 * LEASE]),
)
def test_a_worker_whose_counter_moved_within_a_lease_of_the_observers_time_is_never_expired(
    looks: list[Look], pauses: list[float], gap: float
) -> None:
    moves = [sum(pauses[: n + 1]) for n in range(len(pauses))]
    watch = Watch(LEASE, gap)
    now = 0.0

    for one in looks:
        asked_at = now + one.pause
        read_at = asked_at + one.to_snapshot
        now = read_at + one.to_answer
        if one.fails:
            watch.forget()
            continue
        beat = sum(moved <= read_at for moved in moves)
        for _, watched in watch.look([(A, beat)], asked_at, now):
            assert watched == beat
            assert not any(asked_at - LEASE < moved <= read_at for moved in moves)


@settings(max_examples=100, deadline=None)
@given(sweeps=st.lists(st.floats(1, GAP - 0.1), min_size=20, max_size=40), dies_at=st.floats(0, 10))
def test_a_worker_that_stopped_is_found_within_a_lease_and_two_sweeps(sweeps: list[float], dies_at: float) -> None:
    watch, now, found_at = Watch(LEASE, GAP), 0.0, None

    for sweep in sweeps:
        now += sweep
        if watch.look([(A, min(round(now * 2), round(dies_at * 2)))], now, now) and found_at is None:
            found_at = now

    if now > dies_at + 1 + LEASE + 2 * GAP:
        assert found_at is not None
        assert dies_at + LEASE - 1 <= found_at <= dies_at + 1 + LEASE + 2 * GAP
