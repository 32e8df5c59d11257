from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.outcome import (
    MAX_TEXT_BYTES,
    Aborted,
    Artifact,
    Failed,
    NonRetryable,
    Park,
    Parked,
    Released,
    Snooze,
    Snoozed,
    Succeeded,
    clip,
)


@pytest.mark.parametrize("seconds", [0, 0.5, 30, 366 * 86_400])
def test_a_snooze_carries_its_seconds(seconds: float) -> None:
    assert Snooze(seconds).seconds == float(seconds)


@pytest.mark.parametrize("wrong", [-1, 366 * 86_400 + 1, float("nan"), float("inf"), True, False])
def test_a_snooze_that_cannot_be_meant_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 366 days"):
        Snooze(wrong)


def test_what_a_handler_may_raise_reads_well_in_a_log() -> None:
    assert str(Snooze(90)) == "again in 90 s"
    assert str(Park("the customer must decide")) == "the customer must decide"
    assert Park("why").reason == "why"
    assert str(NonRetryable("no such address")) == "no such address"


def test_what_a_handler_may_raise_is_no_error_of_the_house() -> None:
    # A handler that catches TreadleError must not swallow its own Snooze.
    from treadle.errors import TreadleError

    for asked in (Snooze, Park, NonRetryable):
        assert not issubclass(asked, TreadleError)


def test_a_failure_is_retryable_unless_said_otherwise() -> None:
    assert Failed("ValueError", "no").retryable is True
    assert Failed("ValueError", "no").traceback is None


def test_outcomes_are_values_that_nobody_can_change() -> None:
    artifact = Artifact("a.csv", "x/a.csv", 3, "00", "text/csv")
    outcomes: list[object] = [
        Succeeded(b"null", (artifact,)),
        Failed("E", "m"),
        Snoozed(1.0),
        Parked("r"),
        Released(),
        Aborted(),
        artifact,
    ]

    for outcome in outcomes:
        assert dataclasses.is_dataclass(outcome)
        assert outcome == dataclasses.replace(outcome)  # type: ignore[type-var]
        for field in dataclasses.fields(outcome):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(outcome, field.name, None)


def test_a_short_text_is_kept_as_it_is() -> None:
    assert clip("no such file: ü 漢 😀\n  second line") == "no such file: ü 漢 😀\n  second line"


def test_a_long_text_keeps_its_end_because_that_names_the_error() -> None:
    text = "frame\n" * 5_000 + "ValueError: the reason"

    cut = clip(text)

    assert len(cut.encode()) <= MAX_TEXT_BYTES
    assert cut.startswith("... ")
    assert cut.endswith("ValueError: the reason")


def test_a_text_at_the_limit_is_not_cut() -> None:
    assert clip("x" * MAX_TEXT_BYTES) == "x" * MAX_TEXT_BYTES
    assert clip("x" * (MAX_TEXT_BYTES + 1)) == "... " + "x" * (MAX_TEXT_BYTES - 4)


def test_a_character_is_never_cut_in_half() -> None:
    cut = clip("€" * 100, 20)

    assert cut == "... " + "€" * 5
    assert len(cut.encode()) == 19


def test_nul_and_half_surrogates_become_question_marks() -> None:
    assert clip("a\0b\ud800c\udfffd") == "a?b?c?d"


@given(text=st.text("a\0\n€ü😀\ud800\udfff"), max_bytes=st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_any_text_becomes_storable_text_within_the_limit(text: str, max_bytes: int) -> None:
    cut = clip(text, max_bytes)

    assert len(cut.encode("utf-8")) <= max_bytes
    assert "\0" not in cut
