"""Counts that processes share: sums, and places that outlive those who write in them."""

from __future__ import annotations

import os
import signal
import warnings
from itertools import cycle
from typing import Any

import pytest

from treadle.telemetry.meters import Counter, Histogram, Reading
from treadle.telemetry.metrics import Metrics
from treadle.telemetry.shared import HALF_BYTES, PROCESS_SECONDS, Put, SharedCounts, Shelf, added


def reading_of(told: list[Reading], name: str) -> Reading:
    [found] = [reading for reading in told if reading.name == name]
    return found


def forked() -> int:
    """As ``os.fork``: what other tests have left running does not concern this one, which takes no lock."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def test_of_one_name_each_series_is_added_up() -> None:
    here, there = Counter("jobs", "", ("type",)), Counter("jobs", "", ("type",))
    sizes, others = Histogram("sizes", "", (1, 10)), Histogram("sizes", "", (1, 10))
    here.add(2, "A")
    there.add(3, "A")
    there.add(1, "B")
    sizes.observe(5)
    others.observe(0.5)
    others.observe(20)

    jobs, all_sizes = added([here.read(), sizes.read(), there.read(), others.read()])

    assert {labels: list(values) for labels, values in jobs.series.items()} == {("A",): [5], ("B",): [1]}
    assert {labels: list(values) for labels, values in all_sizes.series.items()} == {(): [1, 1, 1, 25.5]}
    assert all_sizes.buckets == (1, 10)


def test_what_is_put_by_another_process_is_found_here() -> None:
    shelf = Shelf(2)
    assert shelf.get(1) is None
    child = forked()
    if child == 0:
        metrics = Metrics()
        metrics.jobs.add(7, "A", "default", "submitted")
        SharedCounts(metrics, shelf, 1).put()
        os._exit(0)
    os.waitpid(child, 0)

    found = shelf.get(1)

    assert found is not None
    assert found.pid == child
    assert reading_of(found.readings, "treadle_jobs_total").series[("A", "default", "submitted")] == [7]
    assert shelf.get(0) is None


class Cut(Exception):
    """The writer's end."""


class CutMemory:
    """Takes the first half of what is written into it, and then there is no writer any more."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    def __getitem__(self, where: Any) -> Any:
        return self._memory[where]

    def __setitem__(self, where: slice, written: bytes) -> None:
        half = len(written) // 2
        self._memory[where.start : where.start + half] = written[:half]
        raise Cut


def test_a_writer_that_is_killed_while_it_writes_leaves_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(1)
    for count in range(1, 4):  # in each half once
        shelf.put(0, put_of(count))
        with monkeypatch.context() as cut, pytest.raises(Cut):
            cut.setattr(shelf, "_memory", CutMemory(shelf._memory))
            shelf.put(0, put_of(1000 + count))
        assert shelf.get(0) == put_of(count)


def put_of(count: int) -> Put:
    return Put(count, [Reading("jobs", "counter", "", ("n",), (), {(str(n),): [float(count)] for n in range(100)})])


def test_who_reads_while_another_writes_finds_the_one_or_the_other() -> None:
    shelf = Shelf(1)
    shelf.put(0, put_of(1))
    child = forked()
    if child == 0:
        for count in cycle(range(1, 1000)):
            shelf.put(0, put_of(count))
    try:
        seen = [shelf.get(0) for _ in range(2000)]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert all(put is not None and put == put_of(put.pid) for put in seen)


def test_who_takes_a_place_goes_on_with_what_the_last_one_had_put() -> None:
    shelf = Shelf(2)
    first, second, third = Metrics(), Metrics(), Metrics()
    first.late.add(5)
    second.late.add(10)
    counts = SharedCounts(second, shelf, 1)
    SharedCounts(first, shelf, 0).put()

    assert reading_of(list(counts.tell().readings), "treadle_outcomes_late_total").series[()] == [15]
    before = reading_of(list(counts.tell().readings), PROCESS_SECONDS).series[()][0]

    third.late.add(1)
    taker = SharedCounts(third, shelf, 0)
    assert reading_of(list(counts.tell().readings), "treadle_outcomes_late_total").series[()] == [15]
    taker.put()
    after = list(counts.tell().readings)

    assert reading_of(after, "treadle_outcomes_late_total").series[()] == [16]
    assert reading_of(after, PROCESS_SECONDS).series[()][0] > before


def test_gauges_are_told_as_this_process_knows_them() -> None:
    shelf = Shelf(2)
    here, there = Metrics(), Metrics()
    here.store_up.tell(1)
    there.store_up.tell(1)
    SharedCounts(there, shelf, 1).put()

    told = SharedCounts(here, shelf, 0).tell()

    assert reading_of(list(told.readings), "treadle_store_up").series == {(): (1,)}
    assert {reading.name for reading in told.readings} == {meter.name for meter in here.all} | {PROCESS_SECONDS}


def test_what_is_too_large_for_its_place_is_refused() -> None:
    shelf = Shelf(1)
    with pytest.raises(ValueError, match="too many to share"):
        shelf.put(0, Put(1, [Reading("x" * HALF_BYTES, "counter", "", (), (), {})]))
    assert shelf.get(0) is None
