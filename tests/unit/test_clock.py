from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from treadle import clock
from treadle.clock import Anchor, AnchoredClock, boot_id, rising_seconds, wall_now
from treadle.errors import Unavailable

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def rising(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rising clock as a list of one number that the test sets."""
    seconds = [1_000.0]
    monkeypatch.setattr(clock, "rising_seconds", lambda: seconds[0])
    return seconds


def test_before_the_store_has_told_the_time_nobody_knows_it() -> None:
    with pytest.raises(Unavailable, match="not told the time"):
        AnchoredClock().now()


def test_durations_can_be_measured_before_the_store_answered(rising: list[float]) -> None:
    assert AnchoredClock().rising() == 1_000.0


def test_now_is_the_anchor_advanced_by_the_rising_clock(rising: list[float]) -> None:
    told = AnchoredClock()
    told.set_anchor(Anchor(NOON, rising=990.0))

    assert told.now() == NOON + timedelta(seconds=10)
    rising[0] += 2.5
    assert told.now() == NOON + timedelta(seconds=12.5)


def test_a_wall_clock_that_jumps_moves_nothing(rising: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    told = AnchoredClock()
    told.set_anchor(Anchor(NOON, rising=1_000.0))

    for jumped in (0.0, 4e9):
        monkeypatch.setattr("treadle.clock.time.time", lambda at=jumped: at)
        assert told.now() == NOON


def test_the_newest_anchor_is_the_truth_even_where_it_goes_back(rising: list[float]) -> None:
    told = AnchoredClock()
    told.set_anchor(Anchor(NOON, rising=1_000.0))

    told.set_anchor(Anchor(NOON - timedelta(hours=1), rising=1_000.0))

    assert told.now() == NOON - timedelta(hours=1)


def test_now_is_aware_and_in_utc(rising: list[float]) -> None:
    told = AnchoredClock()
    told.set_anchor(Anchor(NOON, rising=1_000.0))

    assert told.now().tzinfo is UTC
    assert wall_now().tzinfo is UTC


def test_the_rising_clock_never_falls() -> None:
    read = [rising_seconds() for _ in range(1_000)]

    assert read == sorted(read)


def test_one_boot_has_one_id() -> None:
    assert boot_id() == boot_id()
    assert boot_id().strip() == boot_id() != ""


def test_a_system_without_a_boot_id_is_known_by_the_moment_of_its_boot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(clock, "Path", lambda _: tmp_path / "absent")
    monkeypatch.setattr(sys, "platform", "other")
    monkeypatch.setattr("treadle.clock.time.time", lambda: 5_000_000.0)
    monkeypatch.setattr(clock, "rising_seconds", lambda: 1_000.0)
    first = boot_id()
    # An hour later, the same boot.
    monkeypatch.setattr("treadle.clock.time.time", lambda: 5_003_600.0)
    monkeypatch.setattr(clock, "rising_seconds", lambda: 4_600.0)
    later = boot_id()
    # Booted again.
    monkeypatch.setattr(clock, "rising_seconds", lambda: 5.0)
    another = boot_id()

    assert first == later != another
