"""The built-in job types against what they stand on: a bare SMTP connection, and the csv module."""

from __future__ import annotations

import csv
import itertools
import json
import smtplib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from functools import partial

import psycopg

from bench.marks import wait_until
from bench.meter import Meter
from bench.program import running
from bench.sample import Sample
from bench.scene import Scene, Step
from bench.servers import Ground
from bench.side import START_SECONDS, About
from bench.treadle_side import BATCH, CHILD_PATH, submit_batches, submit_singly
from bench.verdict import TREADLE, Bar, Better, Verdict, figures, median_of, ratios

_WARM_SHARE = 5
"""Of the exports, after which memory has to have its size."""

_MAIL = {"to": "somebody@example.com", "subject": "Your export is ready", "body": "It is where you left it.\n" * 10}

_ROWS, _COLUMNS = 40_000, 10
"""Of one export: a body of some 8 MiB, of the 10 that the API takes by default."""
_CELLS = _ROWS * _COLUMNS

_OF_THE_SINK = Bar(0.8)
_CELLS_PER_SECOND = 1e6
_CONSTANT = Bar(1.1, Better.LESS)
"""Memory at the end, beside that after the first exports: our own reading of "constant"."""


class BuiltinJobs:
    """Each beside the bare thing, which does the same and keeps no promise."""

    name = "builtin"
    title = "Built-in jobs: EMAIL_SEND beside one reused SMTP connection, CSV_EXPORT beside the csv module"

    def steps(self, scene: Scene) -> list[Step]:
        """See ``Contest``."""
        return [
            Step("EMAIL_SEND", TREADLE, partial(_mail_by_treadle, scene)),
            Step("EMAIL_SEND", "smtplib", partial(_mail_by_smtplib, scene)),
            Step("CSV_EXPORT", TREADLE, partial(_csv_by_treadle, scene)),
            Step("CSV_EXPORT", "csv", partial(_csv_by_csv, scene)),
        ]

    def verdicts(self, samples: Sequence[Sample], abouts: Mapping[str, About]) -> list[Verdict]:
        """See ``Contest``. An export is fast enough at a million cells a second or at the csv module's own speed."""
        mails, cells = "mails_per_second", "cells_per_second"
        ours, theirs = (median_of(figures(samples, cells, "CSV_EXPORT", side)) for side in (TREADLE, "csv"))
        least = 1.0 if not theirs else min(1.0, _CELLS_PER_SECOND / theirs)
        return [
            Verdict(
                self.name, "EMAIL_SEND beside smtplib", "×",
                ratios(samples, mails, "EMAIL_SEND", TREADLE, "smtplib"), _OF_THE_SINK,
                median_of(figures(samples, mails, "EMAIL_SEND", TREADLE)),
                median_of(figures(samples, mails, "EMAIL_SEND", "smtplib")), "mails/s",
            ),
            Verdict(
                self.name, "CSV_EXPORT beside the csv module", "×",
                ratios(samples, cells, "CSV_EXPORT", TREADLE, "csv"), Bar(round(least, 3)), ours, theirs, "cells/s",
                "the bar is a million cells a second, or the csv module's own speed where that is less",
            ),
            Verdict(
                self.name, "memory of the exports, last beside first", "×",
                figures(samples, "memory_growth", "CSV_EXPORT", TREADLE), _CONSTANT,
                median_of(figures(samples, "rss_mib", "CSV_EXPORT", TREADLE)), figure_unit="MiB",
            ),
        ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- mail


@contextmanager
def _sink(ground: Ground) -> Iterator[int]:
    """Its port."""
    environment = {**ground.environment, "PYTHONPATH": CHILD_PATH}
    with running([sys.executable, "-m", "bench.sink"], environment, ground.folder / "sink.log") as sink:
        yield int(sink.line(START_SECONDS)["port"])


def _mail_by_treadle(scene: Scene) -> dict[str, float]:
    """From the first message taken to the last commit visible."""
    mails = scene.effort.mails
    with scene.servers.ground() as ground, _sink(ground) as port:
        settings = {"MAIL_HOST": "127.0.0.1", "MAIL_PORT": str(port)}
        job = json.dumps({"type": "EMAIL_SEND", "payload": _MAIL})
        bodies = [
            f'{{"jobs":[{",".join([job] * min(BATCH, mails - begun))}]}}'.encode() for begun in range(0, mails, BATCH)
        ]
        with scene.treadle.api(ground, settings) as api_port:
            submit_batches(api_port, bodies)
        ground.settle_loaded()
        found = scene.treadle.work_off(ground, mails, settings=settings)
    return {"mails_per_second": found["jobs_per_second"], **found}


def _mail_by_smtplib(scene: Scene) -> dict[str, float]:
    mails = scene.effort.mails
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "treadle@example.com", _MAIL["to"], _MAIL["subject"]
    message.set_content(_MAIL["body"])
    with scene.servers.ground() as ground, _sink(ground) as port, smtplib.SMTP("127.0.0.1", port) as connection:
        connection.ehlo()
        begun_at = time.monotonic()
        for _ in range(mails):
            connection.send_message(message)
        seconds = time.monotonic() - begun_at
    return {"mails_per_second": mails / seconds, "seconds": seconds, "mails": mails}


# ----------------------------------------------------------------------------------------------------- csv


def _rows() -> list[dict[str, object]]:
    """Numbers, short texts, empty cells, and now and then what must be quoted."""
    texts = itertools.cycle(["Zürich", "plain", 'with "quotes", and commas', "", "0049 30 1234", "a little more text"])
    return [
        {f"column_{c}": n * c if c % 3 == 0 else (None if n % 7 == c else next(texts)) for c in range(_COLUMNS)}
        for n in range(_ROWS)
    ]


def _csv_by_treadle(scene: Scene) -> dict[str, float]:
    """One export at a time, on one core: from the start of the first to the end of the last, by the rows' own times."""
    jobs = scene.effort.csv_jobs
    body = json.dumps({"type": "CSV_EXPORT", "payload": {"data": _rows()}}, ensure_ascii=False).encode()
    with scene.servers.ground() as ground:
        with scene.treadle.api(ground) as port:
            submit_singly(port, [body] * jobs)
        ground.settle_loaded()
        with (
            psycopg.connect(ground.database_url, autocommit=True) as connection,
            scene.treadle.worker(ground, {"TREADLE_CONCURRENCY": "1"}) as worker,
        ):
            meter = Meter([worker.pid], list(ground.server_pids))
            with meter.running():
                _wait_completed(scene, connection, max(2, jobs // _WARM_SHARE))
                first_mib = _peak_mib(meter)
                _wait_completed(scene, connection, jobs)
            row = connection.execute(
                "SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM jobs WHERE status = 'completed'"
            ).fetchone()
    seconds = float(row[0]) if row else 0.0
    peak_mib = _peak_mib(meter)
    return {
        "cells_per_second": jobs * _CELLS / seconds,
        "rss_mib": peak_mib,
        "memory_growth": peak_mib / first_mib,
        "payload_mib": len(body) / 2**20,
        "seconds": seconds,
        "cells": jobs * _CELLS,
    }


def _wait_completed(scene: Scene, connection: psycopg.Connection[tuple[int]], jobs: int) -> None:
    def is_so() -> bool:
        row = connection.execute("SELECT count(*) FROM jobs WHERE status = 'completed'").fetchone()
        return bool(row and row[0] >= jobs)

    wait_until(is_so, within_seconds=scene.treadle.limit_seconds, what=f"the end of {jobs} exports")


def _peak_mib(meter: Meter) -> float:
    """MiB of the worker, so far."""
    return max(reading.worker.rss_bytes for reading in meter.readings) / 2**20


def _csv_by_csv(scene: Scene) -> dict[str, float]:
    """The same rows from JSON text to a file, as often; the whole table in memory, as csv's users have it."""
    body = json.dumps({"data": _rows()}, ensure_ascii=False).encode()
    jobs = scene.effort.csv_jobs
    with scene.servers.ground() as ground:
        begun_at = time.monotonic()
        for number in range(jobs):
            rows = json.loads(body)["data"]
            with (ground.folder / f"{number}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        seconds = time.monotonic() - begun_at
    return {"cells_per_second": jobs * _CELLS / seconds, "seconds": seconds, "cells": jobs * _CELLS}
