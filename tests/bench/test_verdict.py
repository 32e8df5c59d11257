"""Ratios are of samples of one round, and a bar is reached by the median or missed."""

from __future__ import annotations

import pytest

from bench.sample import Sample
from bench.verdict import TREADLE, Bar, Better, Verdict, ratios


def a_sample(round: int, side: str, rate: float | None) -> Sample:
    values = {} if rate is None else {"rate": rate}
    return Sample("drain", round, "huey", side, values, "" if values else "it broke")


def test_a_ratio_is_of_samples_of_one_round() -> None:
    samples = [
        a_sample(2, TREADLE, 30),
        a_sample(1, TREADLE, 10),
        a_sample(1, "huey", 5),
        a_sample(2, "huey", 10),
        a_sample(3, TREADLE, 99),
    ]
    assert ratios(samples, "rate", "huey", TREADLE, "huey") == [2, 3]


def test_a_failed_sample_and_a_standstill_make_no_ratio() -> None:
    samples = [a_sample(1, TREADLE, 10), a_sample(1, "huey", None), a_sample(2, TREADLE, 10), a_sample(2, "huey", 0)]
    assert ratios(samples, "rate", "huey", TREADLE, "huey") == []


@pytest.mark.parametrize(
    ("values", "bar", "reached"),
    [
        ([7, 8, 30], Bar(8), True),
        ([7, 7.99, 30], Bar(8), False),
        ([2.4, 2.5, 9], Bar(2.5, Better.LESS), True),
        ([2.4, 2.51, 9], Bar(2.5, Better.LESS), False),
        ([], Bar(8), False),
        ([1], None, None),
    ],
)
def test_a_bar_is_reached_by_the_median_or_missed(values: list[float], bar: Bar | None, reached: bool | None) -> None:
    assert Verdict("drain", "huey", "×", values, bar).is_reached is reached
