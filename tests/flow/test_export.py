"""CSV_EXPORT from end to end on real rows: submitted over HTTP, run, downloaded, read back by another reader."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.flow.airports import airports
from tests.flow.conftest import NewStack
from tests.flow.machine import needs_proc
from tests.flow.stack import Stack

HARMLESS = re.compile(r"[+-]?[0-9][0-9 ().,/eE+-]*")


def as_text(value: Any) -> str:
    """How a JSON value must read in a cell."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def download(stack: Stack, job_id: str) -> bytes:
    answer = stack.client.get(f"/jobs/{job_id}/result")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="{job_id}.csv"'
    return answer.content


def read_back(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))


def test_a_real_data_set_comes_back_equal_to_its_source(dev: Stack) -> None:
    rows = airports()
    assert len(rows) > 28_000

    job = dev.finish(dev.submit("CSV_EXPORT", {"data": rows, "escapeFormulas": False}, priority="high"))

    assert job["status"] == "completed", job
    data = download(dev, job["id"])
    header, *cells = read_back(data)
    assert header == list(rows[0])
    assert cells == [[as_text(value) for value in row.values()] for row in rows]
    assert (dev.output / f"{job['id']}.csv").read_bytes() == data
    assert job["artifacts"][0]["sha256"] == hashlib.sha256(data).hexdigest()
    assert job["artifacts"][0]["sizeBytes"] == len(data)


def test_with_escaping_on_only_what_a_spreadsheet_would_run_is_changed(dev: Stack) -> None:
    dangerous = ["=1+1", "@SUM(A1)", "\t=2", "\r=3", "+cmd|' /C calc'!A0", "-cmd", "＝1", ' "=1', "\ufeff=1"]
    harmless = ["-5", "+49 30 1234", "-1.5e3", "a=b", "'quoted'", "1-2"]
    rows = [*airports(), *({"icao": text, "name": text} for text in dangerous + harmless)]

    job = dev.finish(dev.submit("CSV_EXPORT", {"data": rows}))

    header, *cells = read_back(download(dev, job["id"]))
    columns = list(rows[0])
    assert header == columns
    changed = 0
    for row, read in zip(rows, cells, strict=True):
        for name, cell in zip(columns, read, strict=True):
            source = as_text(row.get(name))
            if cell != source:
                assert cell == "'" + source
                assert isinstance(row[name], str)
                assert not HARMLESS.fullmatch(source)
                changed += 1
    assert changed >= 2 * len(dangerous)
    tail = [read[0] for read in cells[-len(harmless) :]]
    assert tail == harmless


def test_no_rows_make_an_empty_file_and_the_same_payload_makes_the_same_bytes(dev: Stack) -> None:
    empty = dev.finish(dev.submit("CSV_EXPORT", {"data": []}))
    assert download(dev, empty["id"]) == b""

    payload = {"data": [{"a": 1, "b": [1, {"c": None}]}, {"é": "x", "a": 1.0}]}
    first, second = (dev.finish(dev.submit("CSV_EXPORT", payload)) for _ in range(2))
    assert download(dev, first["id"]) == download(dev, second["id"])
    assert first["artifacts"][0]["sha256"] == second["artifacts"][0]["sha256"]


def status_kib(process: subprocess.Popen[bytes], name: str) -> int:
    """A memory figure of a process from the kernel: VmRSS (now) or VmHWM (highest so far)."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


@needs_proc
@pytest.mark.only_on(
    "sqlite", "postgres", reason="Redis' client library is 6.5 MiB of a process: with it the peak is the limit itself"
)
@pytest.mark.parametrize("shape", ["real rows", "many short rows"])
def test_nine_mebibytes_export_within_ten_times_their_size(new_stack: NewStack, shape: str) -> None:
    stack = new_stack()
    server, worker = stack.start("api"), stack.start("worker")
    stack.finish(stack.submit("CSV_EXPORT", {"data": [{"a": 1}]}))
    row_source = airports() if shape == "real rows" else [{"id": 123456, "text": "Zoë", "n": None}]
    row_texts = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in row_source]
    size, texts = 0, list[str]()
    while size < 9 * 1024 * 1024:
        texts.append(row_texts[len(texts) % len(row_texts)])
        size += len(texts[-1].encode()) + 1
    body = '{"type":"CSV_EXPORT","payload":{"data":[' + ",".join(texts) + "]}}"

    answer = stack.client.post("/jobs", content=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    job = stack.finish(answer.json()["jobId"], within_seconds=120)

    assert job["status"] == "completed", job
    assert len(read_back(download(stack, job["id"]))) == len(texts) + 1
    for process in (server, worker):
        peak_kib = status_kib(process, "VmHWM")  # all of the process: interpreter and libraries are half of it
        assert peak_kib * 1024 < 10 * len(body.encode()), shape
