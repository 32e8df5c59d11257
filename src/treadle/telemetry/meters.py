"""Meters: what counts, what stands, and what is sorted into buckets.

Plain dictionaries without locks: a process's meters are touched on its own loop alone, and a job costs a fraction of a
microsecond in each. The library that knows how they are told to a scraper is imported by the first scrape
(``web/metrics``); a process that nobody scrapes is without its three megabytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Labels = tuple[str, ...]

MAX_SERIES = 1_000
"""Of one meter. Types and queues are names that code gave, so that this is never met; a scraper pays for each."""
OTHER = "other"
"""The label of what has none of its own: beyond ``MAX_SERIES``, or not one of the names that are known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One meter as it stands. ``buckets`` of a histogram: upper bounds; ``series``: counts a bucket, then the sum."""

    name: str
    kind: str
    meaning: str
    labels: Labels
    buckets: tuple[float, ...]
    series: Mapping[Labels, Sequence[float]]


class Meter:
    """What all of them share."""

    kind = ""

    def __init__(self, name: str, meaning: str, labels: Labels) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels

    def read(self) -> Reading:
        """A copy: what is counted from now on does not change it."""
        raise NotImplementedError

    def _admitted(self, labels: Labels, known: Mapping[Labels, object]) -> Labels:
        """``labels``, or those of the rest where there are too many already."""
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {len(labels)}")
        return labels if len(known) < MAX_SERIES else (OTHER,) * len(labels)


class Counter(Meter):
    """Only ever rises. What is ``known`` beforehand stands at zero from the start, so that its first rise is seen."""

    kind = "counter"

    def __init__(self, name: str, meaning: str, labels: Labels = (), known: Iterable[Labels] = ()) -> None:
        super().__init__(name, meaning, labels)
        self._values: dict[Labels, float] = dict.fromkeys(known if labels else [()], 0)

    def add(self, amount: float, *labels: str) -> None:
        """Count ``amount`` more."""
        values = self._values
        if labels not in values:
            labels = self._admitted(labels, values)
        values[labels] = values.get(labels, 0) + amount

    def value(self, *labels: str) -> float:
        """How much was counted."""
        return self._values.get(labels, 0)

    def read(self) -> Reading:
        """See ``Meter.read``."""
        series = {labels: (value,) for labels, value in self._values.items()}
        return Reading(self.name, self.kind, self.meaning, self.labels, (), series)


class Gauge(Meter):
    """Goes up and down: told from time to time, or asked when somebody reads it. Absent while nobody told."""

    kind = "gauge"

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        super().__init__(name, meaning, labels)
        self._values: dict[Labels, float] = {}
        self._ask: Callable[[], float] | None = None

    def replace(self, values: Mapping[Labels, float]) -> None:
        """Tell all of it anew; what is not in ``values`` is absent from now on."""
        told: dict[Labels, float] = {}
        for labels, value in values.items():
            told[self._admitted(labels, told)] = value
        self._values = told

    def tell(self, value: float) -> None:
        """Tell a gauge without labels."""
        self.replace({(): value})

    def ask(self, value: Callable[[], float]) -> None:
        """Let ``value`` be called whenever a gauge without labels is read."""
        self._ask = value

    def read(self) -> Reading:
        """See ``Meter.read``."""
        values = self._values if self._ask is None else {(): self._ask()}
        series = {labels: (value,) for labels, value in values.items()}
        return Reading(self.name, self.kind, self.meaning, self.labels, (), series)


class Histogram(Meter):
    """Counts by size: how many were at most as large as each bucket's bound, and their sum."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str, buckets: tuple[float, ...], labels: Labels = ()) -> None:
        super().__init__(name, meaning, labels)
        self.buckets = buckets
        self._series: dict[Labels, list[float]] = {}
        if not labels:
            self._series[()] = self._new()

    def observe(self, value: float, *labels: str, count: int = 1) -> None:
        """Count one, or so many, of this size."""
        series = self._series.get(labels)
        if series is None:
            series = self._series.setdefault(self._admitted(labels, self._series), self._new())
        series[bisect_left(self.buckets, value)] += count
        series[-1] += value * count

    def read(self) -> Reading:
        """See ``Meter.read``."""
        series = {labels: tuple(counts) for labels, counts in self._series.items()}
        return Reading(self.name, self.kind, self.meaning, self.labels, self.buckets, series)

    def _new(self) -> list[float]:
        return [0.0] * (len(self.buckets) + 2)  # one for what is larger than all bounds, one for the sum
