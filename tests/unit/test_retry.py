from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.retry import Backoff, Retry, after_crash, after_failure
from treadle.states import Verb


class _Chance(random.Random):
    """A chance that always draws the same point between the two ends."""

    def __init__(self, point: float) -> None:
        super().__init__()
        self._point = point

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self._point


SHORTEST, LONGEST = _Chance(0.0), _Chance(1.0)


def test_the_wait_doubles_with_every_spent_attempt_up_to_the_cap() -> None:
    backoff = Backoff(base_seconds=2, cap_seconds=600)

    waits = [backoff.delay_seconds(spent, LONGEST) for spent in range(1, 12)]

    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_the_wait_is_never_under_half_of_its_step() -> None:
    backoff = Backoff(base_seconds=2, cap_seconds=600)

    assert [backoff.delay_seconds(spent, SHORTEST) for spent in (1, 2, 3, 11)] == [1, 2, 4, 300]


def test_two_jobs_that_fail_together_do_not_come_back_together() -> None:
    chance = random.Random(20_260_504)
    backoff = Backoff(base_seconds=10, cap_seconds=600)

    waits = [backoff.delay_seconds(1, chance) for _ in range(200)]

    assert len(set(waits)) > 190
    assert all(5 <= wait <= 10 for wait in waits)
    assert max(waits) - min(waits) > 4


@given(
    spent=st.integers(min_value=-5, max_value=10**6),
    base=st.floats(min_value=0, max_value=86_400),
    extra=st.floats(min_value=0, max_value=86_400),
    seed=st.integers(),
)
@settings(max_examples=60, deadline=None)
def test_the_wait_lies_between_zero_and_the_cap_whatever_was_spent(
    spent: int, base: float, extra: float, seed: int
) -> None:
    backoff = Backoff(base, base + extra)

    assert 0 <= backoff.delay_seconds(spent, random.Random(seed)) <= base + extra


def test_a_policy_without_words_is_three_failures_and_three_crashes() -> None:
    policy = Retry()

    assert (policy.attempts, policy.crashes) == (3, 3)
    assert policy.backoff() == Backoff(base_seconds=2, cap_seconds=600)


def test_a_scale_stretches_base_and_cap_alike() -> None:
    policy = Retry(base_seconds=10, cap_seconds=100)

    assert policy.backoff(scale=0.5) == Backoff(base_seconds=5, cap_seconds=50)
    assert policy.backoff(scale=0) == Backoff(base_seconds=0, cap_seconds=0)
    assert policy.backoff(scale=0).delay_seconds(7, LONGEST) == 0


def test_no_policy_and_no_scale_waits_longer_than_a_year_and_a_day() -> None:
    # A settings file may say TREADLE_RETRY_BASE_SECONDS=31622400, a policy a cap of a day: times each other they
    # would leave what a datetime can hold, and the settle that computes run_at would fail for ever.
    policy = Retry(base_seconds=86_400, cap_seconds=86_400)

    wait = policy.backoff(scale=366 * 86_400 / 2).delay_seconds(25, LONGEST)

    assert datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=wait) < datetime(2027, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize("name", ["attempts", "crashes"])
def test_a_budget_is_a_whole_number_from_1_to_25(name: str) -> None:
    for wrong in (0, -1, 26, 10**9, 1.5, 3.0, "3", True, None):
        with pytest.raises(ValueError, match=rf"Retry\({name}=\.\.\.\).*whole number from 1 to 25"):
            Retry(**{name: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("right", [1, 25])
def test_the_smallest_and_the_largest_budget_are_allowed(right: int) -> None:
    assert Retry(attempts=right, crashes=right).attempts == right


@pytest.mark.parametrize(
    ("base", "cap"),
    [
        (-1, 10),
        (10, 9),
        (0, 86_401),
        (float("nan"), 10),
        (1, float("nan")),
        (float("inf"), float("inf")),
    ],
)
def test_a_backoff_that_cannot_be_meant_is_refused(base: float, cap: float) -> None:
    with pytest.raises(ValueError, match="0 <= base_seconds <= cap_seconds <= 86400"):
        Retry(base_seconds=base, cap_seconds=cap)


@pytest.mark.parametrize(
    ("failures", "max_attempts", "retryable", "verb"),
    [
        (0, 3, True, Verb.RETRY),
        (1, 3, True, Verb.RETRY),
        (2, 3, True, Verb.FAIL),
        (9, 3, True, Verb.FAIL),
        (0, 1, True, Verb.FAIL),
        (0, 25, False, Verb.FAIL),
        (23, 25, True, Verb.RETRY),
        (24, 25, True, Verb.FAIL),
    ],
)
def test_a_failure_is_retried_while_its_budget_lasts_and_the_error_allows_it(
    failures: int, max_attempts: int, retryable: bool, verb: Verb
) -> None:
    assert after_failure(failures, max_attempts, retryable=retryable) is verb


@pytest.mark.parametrize(
    ("crashes", "max_crashes", "verb"),
    [
        (0, 3, Verb.RETRY),
        (1, 3, Verb.RETRY),
        (2, 3, Verb.BURY),
        (7, 3, Verb.BURY),
        (0, 1, Verb.BURY),
    ],
)
def test_a_job_that_kills_its_workers_is_buried_and_never_failed(crashes: int, max_crashes: int, verb: Verb) -> None:
    assert after_crash(crashes, max_crashes) is verb


def test_a_budget_of_n_allows_exactly_n_attempts() -> None:
    for budget in range(1, 26):
        failures = [after_failure(spent, budget, retryable=True) for spent in range(budget)]
        crashes = [after_crash(spent, budget) for spent in range(budget)]

        assert failures == [Verb.RETRY] * (budget - 1) + [Verb.FAIL]
        assert crashes == [Verb.RETRY] * (budget - 1) + [Verb.BURY]
