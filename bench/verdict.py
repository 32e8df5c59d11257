"""``Verdict``: the ratios of one comparison over the rounds, and whether they reach their bar."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from bench.sample import Sample

TREADLE = "treadle"
"""The side that every pair has."""


class Better(StrEnum):
    """Which way is good."""

    MORE = "more"
    LESS = "less"


class Bar(msgspec.Struct, frozen=True):
    """What has to be reached."""

    limit: float
    better: Better = Better.MORE

    def is_reached(self, value: float) -> bool:
        return value >= self.limit if self.better is Better.MORE else value <= self.limit


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the table."""

    contest: str
    against: str
    """A peer, or what is compared."""
    unit: str
    """``×`` for ratios."""
    values: Sequence[float]
    """One a round, in order; empty where nothing could be measured."""
    bar: Bar | None = None
    """None: shown for orientation."""
    ours: float | None = None
    """Treadle's figure, median."""
    theirs: float | None = None
    """The peer's."""
    figure_unit: str = ""
    """Of both."""
    remark: str = ""

    @property
    def minimum(self) -> float:
        return min(self.values)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def maximum(self) -> float:
        return max(self.values)

    @property
    def is_reached(self) -> bool | None:
        """By the median; None where there is no bar. What could not be measured has not reached its bar."""
        if self.bar is None:
            return None
        return bool(self.values) and self.bar.is_reached(self.median)


def ratios(samples: Iterable[Sample], figure: str, pair: str, above: str, below: str) -> list[float]:
    """``above`` divided by ``below`` in each round that has both, in the order of the rounds.

    Only samples of one round are divided: they were taken one after the other, so both sides met the same machine.
    """
    found: dict[int, dict[str, float]] = {}
    for sample in samples:
        if sample.pair == pair and figure in sample.values:
            found.setdefault(sample.round, {})[sample.side] = sample.values[figure]
    pairs = [sides for _, sides in sorted(found.items()) if {above, below} <= sides.keys()]
    return [sides[above] / sides[below] for sides in pairs if sides[below]]


def figures(samples: Iterable[Sample], figure: str, pair: str, side: str) -> list[float]:
    """One side's figure in each round that has it."""
    kept = [s for s in samples if s.pair == pair and s.side == side and figure in s.values]
    return [sample.values[figure] for sample in sorted(kept, key=lambda sample: sample.round)]


def median_of(values: Sequence[float]) -> float | None:
    """None where there are none."""
    return statistics.median(values) if values else None
