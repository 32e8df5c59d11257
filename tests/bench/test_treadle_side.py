"""Treadle's side, on real servers: small, but the whole way."""

from __future__ import annotations

import smtplib
import sys

import pytest

from bench.history import fill
from bench.marks import read_starts
from bench.program import running
from bench.servers import Ground
from bench.treadle_side import CHILD_PATH, TreadleSide
from tests.bench.conftest import count

pytestmark = pytest.mark.flow


def test_a_drain_by_two_workers_ends_when_every_job_is_completed(side: TreadleSide, ground: Ground) -> None:
    values = side.drain(ground, 300, workers=2)
    assert count(ground, "status = 'completed'") == 300
    assert read_starts(ground.folder).jobs == 300
    assert values["jobs_per_second"] > 0
    assert values["rss_mib"] > 40


def test_bulk_submission_is_as_many_rows_as_were_sent(side: TreadleSide, ground: Ground) -> None:
    assert side.submit(ground, "bulk", 10_500)["jobs"] == 10_500
    assert count(ground, "status = 'queued'") == 10_500


def test_pings_are_measured_from_submission_to_start(side: TreadleSide, ground: Ground) -> None:
    values = side.ping(ground, 5)
    assert values["pings"] == 5
    assert 0 < values["p50_ms"] <= values["max_ms"] < 5_000


def test_history_is_rows_that_treadle_itself_could_have_left(side: TreadleSide, ground: Ground) -> None:
    with side.api(ground):
        pass
    fill(ground, 500)
    assert count(ground, "status = 'completed' AND finished_at > created_at AND created_at < now()") == 500
    side.drain(ground, 20)
    assert count(ground, "status = 'completed'") == 520


def test_the_sink_takes_mail_and_marks_it(ground: Ground) -> None:
    environment = {**ground.environment, "PYTHONPATH": CHILD_PATH}
    with running([sys.executable, "-m", "bench.sink"], environment, ground.folder / "sink.log") as sink:
        with smtplib.SMTP("127.0.0.1", sink.line(20)["port"]) as connection:
            for _ in range(3):
                connection.sendmail("a@example.com", ["b@example.com"], "Subject: x\r\n\r\n.one\r\n..\r\n")
        assert read_starts(ground.folder).jobs == 3
