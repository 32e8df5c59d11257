"""Who meets whom, in which order, and which bar is whose."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from bench.builtin_jobs import BuiltinJobs
from bench.contests import PAIRINGS
from bench.flat import Flat
from bench.peer import Peer
from bench.sample import Sample
from bench.scene import QUICK, Contest, Scene
from bench.side import About
from bench.verdict import TREADLE, Bar, Better, Verdict

ABOUTS = {
    name: About(name, name, "1", language, store, "", submits=submits)
    for name, language, store, submits in (
        ("awa", "Python", "PostgreSQL", ["in_flight", "bulk"]),
        ("bullmq", "Node", "Redis", ["one", "in_flight", "bulk"]),
        ("graphile_worker", "Node", "PostgreSQL", ["in_flight", "bulk"]),
        ("huey", "Python", "Redis", ["one"]),
        ("pgboss", "Node", "PostgreSQL", ["one", "bulk"]),
        ("rq", "Python", "Redis", ["bulk"]),
    )
}
CONTESTS: Mapping[str, Contest] = {contest.name: contest for contest in (*PAIRINGS, Flat(), BuiltinJobs())}


@pytest.fixture
def scene() -> Scene:
    peers = {name: Peer(name, [], 1) for name in ABOUTS}
    return Scene(None, None, peers, ABOUTS, QUICK)  # type: ignore[arg-type]  # nothing is taken


def verdicts_of(name: str, samples: list[Sample]) -> dict[str, Verdict]:
    return {verdict.against: verdict for verdict in CONTESTS[name].verdicts(samples, ABOUTS)}


def pairs(name: str, figure: str, ours: float, theirs: float) -> list[Sample]:
    return [
        Sample(name, 1, peer, side, {figure: value})
        for peer in ABOUTS
        for side, value in ((TREADLE, ours), (peer, theirs))
    ]


def test_treadle_stands_before_every_peer_that_takes_part(scene: Scene) -> None:
    steps = [(step.pair, step.side) for step in CONTESTS["bulk"].steps(scene)]
    taking_part = ["awa", "bullmq", "graphile_worker", "pgboss", "rq"]
    assert steps == [(peer, side) for peer in taking_part for side in (TREADLE, peer)]
    assert {step.pair for step in CONTESTS["one"].steps(scene)} == {*ABOUTS, "256 connections"} - {"rq"}
    assert {step.pair for step in CONTESTS["drain"].steps(scene)} == set(ABOUTS)


@pytest.mark.parametrize(
    ("contest", "bars"),
    [
        ("drain", {"awa": 4, "bullmq": 1.7, "graphile_worker": 1, "huey": 8, "pgboss": None, "rq": 8}),
        ("one", {"awa": 8, "bullmq": 1, "graphile_worker": 8, "huey": None, "pgboss": 8, "rq": None}),
        ("bulk", {"awa": 1, "bullmq": None, "graphile_worker": 1, "huey": None, "pgboss": 1, "rq": None}),
    ],
)
def test_every_peer_has_the_bar_of_the_figures(contest: str, bars: dict[str, float | None]) -> None:
    found = verdicts_of(contest, pairs(contest, "jobs_per_second", 300, 100))
    assert {name: found[name].bar for name in ABOUTS} == {n: b if b is None else Bar(b) for n, b in bars.items()}
    assert all(found[name].values == [3] for name in ABOUTS)


def test_latency_is_held_against_huey_and_against_ten_milliseconds() -> None:
    samples = [
        msgspec.structs.replace(sample, values={**sample.values, "p99_ms": 11.0})
        for sample in pairs("latency", "p50_ms", 2.4, 1.2)
    ]
    found = verdicts_of("latency", samples)
    assert {name for name in ABOUTS if found[name].bar} == {"huey"}
    assert (found["huey"].bar, found["huey"].is_reached) == (Bar(2.5, Better.LESS), True)
    assert found["Treadle's p99_ms"].is_reached is False
    assert found["Treadle's p99_ms"].values == [11.0] * len(ABOUTS)


def test_a_side_that_failed_has_not_reached_its_bar_and_says_why() -> None:
    samples = [
        Sample("drain", 1, "rq", TREADLE, {"jobs_per_second": 9.0}),
        Sample("drain", 1, "rq", "rq", error="late"),
    ]
    (verdict,) = CONTESTS["drain"].verdicts(samples, ABOUTS)
    assert (verdict.values, verdict.is_reached, verdict.remark) == ([], False, "late")


def test_flat_is_treadle_beside_itself(scene: Scene) -> None:
    def rates(pair: str, **sides: float) -> list[Sample]:
        return [Sample("flat", 1, pair, side, {"jobs_per_second": rate, "rows": 1e7}) for side, rate in sides.items()]

    samples = [
        *rates("drain", empty=100, history=89),
        *rates("one by one", empty=100, history=95),
        *rates("processes", **{"1×64": 100, "2×32": 100, "4×16": 99}),
        Sample("flat", 1, "pages", "history", {"list_ms": 3, "list_completed_ms": 4, "by_id_ms": 1, "stats_ms": 51}),
        Sample("flat", 1, "memory", TREADLE, {"worker_growth": 1.2, "worker_mib": 60, "api_growth": 1, "api_mib": 70}),
    ]
    missed = {name for name, verdict in verdicts_of("flat", samples).items() if not verdict.is_reached}
    assert missed == {
        "drain, 10 M finished rows",
        "page stats, 10 M finished rows, slowest of 20",
        "memory of the worker",
        "drain by 4×16 slots",
    }
    taken = {(step.pair, step.side) for step in CONTESTS["flat"].steps(scene)}
    assert {(sample.pair, sample.side) for sample in samples} == taken


@pytest.mark.parametrize(("ours", "csv", "reached"), [(1.1e6, 3e6, True), (0.9e6, 3e6, False), (0.9e6, 0.8e6, True)])
def test_an_export_reaches_a_million_cells_or_what_the_csv_module_does(ours: float, csv: float, reached: bool) -> None:
    samples = [
        Sample("builtin", 1, "CSV_EXPORT", side, {"cells_per_second": rate})
        for side, rate in ((TREADLE, ours), ("csv", csv))
    ]
    assert verdicts_of("builtin", samples)["CSV_EXPORT beside the csv module"].is_reached is reached
