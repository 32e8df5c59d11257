"""A run's results, made by hand, and the ground for Treadle's side on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench.results import Results, Server
from bench.sample import Sample
from bench.servers import Ground
from bench.side import About
from bench.treadle_side import TreadleSide
from bench.verdict import TREADLE, Bar, Better, Verdict
from tests.servers import running as servers


def an_about(name: str) -> About:
    return About(
        name=name,
        package="huey",
        version="3.5.0",
        language="Python",
        store="Redis",
        page="https://huey.example/page",
        settings={"workers": 64},
        history="nothing | at all",
        after_kill="lost",
    )


@pytest.fixture
def results() -> Results:
    return Results(
        date="2026-11-24",
        machine={"processor": "AMD EPYC(TM) 7B13", "cores": "2", "memory": "24 GiB"},
        is_quick=False,
        rounds=3,
        contests={"drain": "Drain", "latency": "Idle latency", "flat": "Flat"},
        servers={"Redis": Server("7.0.15", {"save": ""})},
        abouts={TREADLE: an_about("Treadle"), "huey": an_about("Huey <3"), "rq": an_about("RQ")},
        verdicts=[
            Verdict("drain", "huey", "×", [8.5, 9.0, 7.9], Bar(8), 21_000.0, 2500.0, "jobs/s"),
            Verdict("drain", "rq", "×", [7, 7.5, 120], Bar(8), 21_000.0, 240.0, "jobs/s"),
            Verdict("latency", "huey", "×", [0.4, 0.5, 0.6], None, 1.0, 2.0, "ms"),
            Verdict("latency", "rq", "×", [], Bar(2.5, Better.LESS), remark="it broke\nat once"),
            Verdict("latency", "Treadle's p99", "ms", [4.0, 4.4, 11], Bar(10, Better.LESS)),
        ],
        samples=[Sample("drain", 1, "huey", TREADLE, {"jobs_per_second": 21_000.0})],
        missing={"celery": "pip said no"},
    )


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    postgres, redis = servers.machine_postgres(), servers.redis()
    redis.flush()
    with postgres.database() as address:
        yield Ground(address, redis.address, tmp_path, (postgres.program.pid, redis.program.pid))


@pytest.fixture
def side() -> TreadleSide:
    return TreadleSide(limit_seconds=60)


def count(ground: Ground, where: str) -> int:
    with psycopg.connect(ground.database_url) as connection:
        row = connection.execute(f"SELECT count(*) FROM jobs WHERE {where}").fetchone()
    assert row is not None
    return int(row[0])
