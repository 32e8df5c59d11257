"""Meters count, stand and sort, and none of them grows for ever."""

from __future__ import annotations

import pytest

from treadle.telemetry.meters import MAX_SERIES, Counter, Gauge, Histogram
from treadle.telemetry.metrics import Metrics


def test_a_counter_stands_at_zero_where_it_is_known_beforehand_and_rises() -> None:
    assert Counter("a_total", "").read().series == {(): (0,)}
    counter = Counter("a_total", "", ("x",), [("known",)])
    counter.add(2, "new")
    counter.add(3, "new")
    assert counter.read().series == {("known",): (0,), ("new",): (5,)}


def test_a_histogram_counts_what_is_at_most_as_large_as_a_bound() -> None:
    histogram = Histogram("a", "", (1, 10), ("x",))
    for value in (0.5, 1, 1.5, 10, 11):
        histogram.observe(value, "y")
    assert histogram.read().series == {("y",): (2, 2, 1, 24)}


def test_a_gauge_is_absent_until_somebody_tells_and_asked_where_it_can_be() -> None:
    gauge = Gauge("a", "", ("x",))
    assert gauge.read().series == {}
    gauge.replace({("y",): 1})
    gauge.replace({("z",): 2})
    assert gauge.read().series == {("z",): (2,)}
    asked = Gauge("b", "")
    asked.ask(lambda: 7)
    assert asked.read().series == {(): (7,)}


def test_beyond_so_many_series_all_others_are_one() -> None:
    counter, histogram = Counter("a_total", "", ("x",)), Histogram("b", "", (1,), ("x",))
    gauge = Gauge("c", "", ("x",))
    for n in range(MAX_SERIES + 10):
        counter.add(1, f"made up {n}")
        histogram.observe(1, f"made up {n}")
    gauge.replace({(f"made up {n}",): 1 for n in range(MAX_SERIES + 10)})
    assert len(counter.read().series) == len(histogram.read().series) == MAX_SERIES + 1
    assert counter.value("other") == 10
    assert histogram.read().series[("other",)] == (10, 0, 10)
    assert len(gauge.read().series) == MAX_SERIES + 1


def test_a_reading_is_a_copy() -> None:
    histogram = Histogram("a", "", (1,))
    before = histogram.read()
    histogram.observe(1)
    assert before.series == {(): (0, 0, 0)}


def test_labels_that_do_not_fit_are_a_bug_that_is_seen() -> None:
    with pytest.raises(ValueError, match="a_total has the labels"):
        Counter("a_total", "", ("x",)).add(1, "y", "z")


def test_names_are_as_prometheus_wants_them() -> None:
    names = [meter.name for meter in Metrics().all]
    assert len(set(names)) == len(names)
    for meter in Metrics().all:
        assert meter.name.startswith("treadle_")
        assert meter.name.endswith("_total") == (meter.kind == "counter"), meter.name
        assert meter.meaning
    # OpenMetrics: a counter's family has no _total, and no other family may have that name.
    families = [name.removesuffix("_total") for name in names]
    assert len(set(families)) == len(families)
