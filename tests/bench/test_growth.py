"""The curves: which points there are, what is said of them, and the steady state in which one is measured."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import psycopg
import pytest

from bench.growth.__main__ import contests_of
from bench.growth.backlog import queue_up
from bench.growth.curves import Curve, curves_of
from bench.growth.idle import Idle
from bench.growth.page import page_of
from bench.growth.picture import picture_of
from bench.growth.pinned import Pinned, held_open
from bench.growth.reach import FULL, QUICK, up_to
from bench.growth.retention import Retention, paced
from bench.growth.steady import PARTS, Shape, body_of, job_of, steady
from bench.results import Results, Server, write
from bench.sample import Sample
from bench.scene import Contest
from bench.servers import Ground
from bench.side import About
from bench.treadle_side import TreadleSide
from bench.verdict import TREADLE
from tests.bench.conftest import count

SVG = "{http://www.w3.org/2000/svg}"


def a_point(contest: str, point: int, cpu_us: float, round: int = 1) -> Sample:
    values = {
        "cpu_us": cpu_us,
        **{f"{part}_us": cpu_us / len(PARTS) for part in PARTS},
        "jobs_per_second": 1e6 / cpu_us,
    }
    return Sample(contest, round, str(point), TREADLE, values)


def a_curve(name: str) -> Curve:
    (found,) = [curve for curve in curves_of(QUICK) if curve.name == name]
    return found


def growth_results(samples: list[Sample], contests: list[Contest], an_about: About) -> Results:
    return Results(
        date="2026-11-24",
        machine={"processor": "AMD EPYC", "cores": "2"},
        is_quick=True,
        rounds=1,
        contests={contest.name: contest.title for contest in contests},
        servers={"Redis": Server("7.0.15", {"save": ""})},
        abouts={TREADLE: an_about},
        verdicts=[verdict for contest in contests for verdict in contest.verdicts(_of(samples, contest), {})],
        samples=samples,
        missing={},
        topic="growth",
    )


def _of(samples: list[Sample], contest: Contest) -> list[Sample]:
    return [sample for sample in samples if sample.contest == contest.name]


# ------------------------------------------------------------------------------------------------ curves


def test_a_curve_that_rises_at_its_end_bends_upward() -> None:
    curve = a_curve("history")
    points = dict(zip(curve.points, (80.0, 60.0, 90.0), strict=True))
    (verdict,) = curve.verdicts([a_point("history", point, cost) for point, cost in points.items()], {})
    assert verdict.values == [1.5]
    assert (verdict.ours, verdict.theirs) == (90.0, 60.0)
    assert verdict.is_reached is False


def test_a_round_that_lacks_a_point_is_not_judged() -> None:
    curve = a_curve("history")
    whole = [a_point("history", point, 50.0) for point in curve.points]
    (verdict,) = curve.verdicts([*whole, a_point("history", curve.points[-1], 500.0, round=2)], {})
    assert verdict.values == [1.0]


def test_a_point_that_failed_is_named() -> None:
    curve = a_curve("history")
    (verdict,) = curve.verdicts([Sample("history", 1, "0", TREADLE, error="Late: it did not come\nmore")], {})
    assert verdict.is_reached is False
    assert verdict.remark == "0: Late: it did not come"


def test_payloads_are_judged_by_what_a_kib_costs() -> None:
    curve = a_curve("payload")
    samples = [a_point("payload", size, 50.0 + size / 100) for size in curve.points]
    whole, each = curve.verdicts(samples, {})
    assert whole.bar is None
    assert each.is_reached is True
    assert each.values == [1.0]


def test_all_quantities_that_may_grow_have_a_contest() -> None:
    names = [contest.name for contest in contests_of(FULL)]
    assert len(names) == len(set(names)) == 9
    assert {"backlog", "history", "payload", "slots", "processes", "pinned", "retention", "idle"} < set(names)


def test_points_with_more_rows_than_wanted_are_left_out() -> None:
    reach = up_to(FULL, 1_000_000)
    assert max(reach.backlogs) == max(reach.histories) == 1_000_000
    assert reach.payload_bytes == FULL.payload_bytes


# ------------------------------------------------------------------------------------------------ what is sent


@pytest.mark.parametrize("size", [100, 1_000, 100_000])
def test_a_payload_is_as_large_as_it_is_said_to_be(size: int) -> None:
    (job,) = json.loads(body_of(job_of(size), 1))["jobs"]
    assert len(json.dumps(job["payload"], separators=(",", ":"))) == size


def test_large_payloads_are_sent_in_bodies_that_the_api_takes() -> None:
    for size in FULL.payload_bytes:
        shape = Shape(payload_bytes=size)
        assert shape.together * size <= 1_000_000
        assert shape.waiting * size <= 100_000_000


# ------------------------------------------------------------------------------------------------ the others


def test_under_a_transaction_the_last_part_is_held_against_what_was_before() -> None:
    pinned = Pinned(60, 5)
    values = {f"{moment}_cpu_us": 50.0 for moment in pinned.moments} | {"during_6_cpu_us": 75.0}
    values |= {f"{moment}_jobs_per_second": 5000.0 for moment in pinned.moments}
    values |= {"before_look_ms": 1.0, "during_look_ms": 1.5, "leases_lost": 0.0, "dead_rows": 5e6}
    values |= {"during_whole_look_ms": 1500.0}
    verdicts = pinned.verdicts([Sample("pinned", 1, "held open", TREADLE, values)], {})
    assert [verdict.is_reached for verdict in verdicts[:4]] == [False, True, True, True]
    *_, look, whole_look, leases = verdicts
    assert look.is_reached
    assert (whole_look.is_reached, whole_look.remark, leases.is_reached) == (False, "5,000,000 dead rows by then", True)
    assert [pinned.seconds_at(moment) for moment in ("before", "during_6", "after")] == [5, 65, 70]


def test_submission_with_retention_is_held_against_submission_without() -> None:
    contest = Retention(1000, 15, 5)
    samples = [
        Sample("retention", 1, "one by one", side, {"p50_ms": 2.0, "p99_ms": p99, "deleted_rows": 900.0})
        for side, p99 in (("kept", 4.0), ("expired", 6.0))
    ]
    p50, p99, *_ = contest.verdicts(samples, {})
    assert (p50.values, p50.bar) == ([1.0], None)
    assert (p99.values, p99.is_reached) == ([1.5], False)
    assert p99.remark == "900 rows were deleted meanwhile"


def test_what_idle_workers_cost_the_servers_is_told_for_a_hundred() -> None:
    def servers_at(count: int, cpu: float) -> Sample:
        values = {"postgres_cpu_seconds_per_minute": cpu, "redis_cpu_seconds_per_minute": cpu / 2}
        values |= {"transactions_per_second": cpu, "redis_commands_per_second": cpu, "connections": 2.0 * count}
        return Sample("idle", 1, "workers", str(count), values | ({"rss_mb": 35.0} if count else {}))

    verdicts = Idle(20, 20).verdicts([servers_at(0, 0.1), servers_at(1, 0.1), servers_at(20, 0.3)], {})
    said = {verdict.against: verdict for verdict in verdicts}
    both = said["CPU of both servers, 100 workers"]
    assert both.median == pytest.approx(1.5)
    assert both.is_reached
    assert said["memory of a worker"].is_reached
    assert said["CPU of PostgreSQL, 100 workers"].remark == "40 connections of 20"


# ------------------------------------------------------------------------------------------------ what is written


def test_every_curve_is_a_panel_and_a_table(results: Results, tmp_path: Path) -> None:
    curves, pinned = curves_of(QUICK), Pinned(60, 5)
    samples = [
        a_point(curve.name, point, 60.0 + number) for curve in curves for number, point in enumerate(curve.points)
    ]
    under = {f"{moment}_cpu_us": 50.0 for moment in pinned.moments}
    samples.append(Sample("pinned", 1, "held open", TREADLE, under))
    found = growth_results(samples, [*curves, pinned], results.abouts[TREADLE])

    picture, page = picture_of(found, curves, pinned), page_of(found, curves, pinned)

    drawn = ElementTree.fromstring(picture)
    titles = [text.text or "" for text in drawn.iter(f"{SVG}text") if text.get("class") == "title"]
    for curve in curves:
        assert f"{curve.title}: µs a job" in titles
        assert f"| {curve.axis} |" in page
    assert "Payload: µs a KiB" in titles
    assert "A transaction held open for 60 s: µs a job" in titles
    places = [circle.get("cx") for circle in drawn.iter(f"{SVG}circle") if circle.get("class") == "cpu_us"]
    assert len(places) == sum(len(curve.points) for curve in curves) + len(QUICK.payload_bytes) + len(pinned.moments)
    names = [path.name for path in write(found, tmp_path, page, picture)]
    assert names[0] == "2026-11-24-amd-epyc-2-cores-growth-quick.json"


def test_a_run_without_any_point_is_a_picture_and_a_page(results: Results) -> None:
    curves = curves_of(QUICK)
    found = growth_results([], [*curves], results.abouts[TREADLE])
    ElementTree.fromstring(picture_of(found, curves, None))
    assert "not measured" in page_of(found, curves, None)


# ------------------------------------------------------------------------------------------------ on real servers


@pytest.mark.flow
@pytest.mark.parametrize(
    "shape", [Shape(backlog=300, history=50, slots=8, processes=2), Shape(200, payload_bytes=10_000)]
)
def test_in_a_steady_state_jobs_are_done_and_the_backlog_stands(
    side: TreadleSide, ground: Ground, shape: Shape
) -> None:
    with steady(side, ground, shape) as state:
        values = state.watch(1.0)
        assert values["jobs"] > 0
        assert values["cpu_us"] == pytest.approx(sum(values[f"{part}_us"] for part in PARTS))
    assert count(ground, "status = 'completed'") > shape.history
    assert count(ground, "status NOT IN ('completed', 'queued', 'processing')") == 0


@pytest.mark.flow
def test_a_backlog_that_was_made_is_worked_off_by_its_hints(side: TreadleSide, ground: Ground) -> None:
    with side.api(ground):
        pass
    queue_up(ground, 500)
    side.work_off(ground, 500)
    assert count(ground, "status = 'completed' AND started_at >= queued_at AND created_at < started_at") == 500


@pytest.mark.flow
def test_paced_submissions_are_timed_and_there(side: TreadleSide, ground: Ground) -> None:
    with side.api(ground) as port:
        values = paced(port, 0.2)
    assert count(ground, "status = 'queued'") == values["jobs"] == 40
    assert 0 < values["p50_ms"] <= values["p99_ms"] <= values["max_ms"]


@pytest.mark.flow
def test_a_transaction_held_open_keeps_the_horizon(side: TreadleSide, ground: Ground) -> None:
    with side.api(ground):
        pass
    question = "SELECT count(*) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()"
    with psycopg.connect(ground.database_url, autocommit=True) as looking:
        with held_open(ground):
            assert looking.execute(question + " AND state = 'idle in transaction'").fetchone() == (1,)
        assert looking.execute(question + " AND state = 'idle in transaction'").fetchone() == (0,)
