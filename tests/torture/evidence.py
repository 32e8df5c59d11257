"""Everything that is known after a run, from all who kept a record of their own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.fleet import Fleet, Hurt
from tests.torture.http import Answer, NotAnswered, ask
from tests.torture.ledger import Line, read_lines
from tests.torture.mailsink import Mail
from tests.torture.orders import Orders, number_in
from tests.torture.rungs import Query, Rung
from tests.torture.stopping import Stop

_FINAL = "('completed', 'failed', 'dead', 'cancelled')"

ILLEGAL = {
    "not completed": "SELECT id FROM jobs WHERE status <> 'completed'",
    "held by a worker and not processing, or the other way round": (
        "SELECT id FROM jobs WHERE (status = 'processing') <> (worker_id IS NOT NULL)"
    ),
    "final without a moment, or the other way round": (
        f"SELECT id FROM jobs WHERE (status IN {_FINAL}) <> (finished_at IS NOT NULL)"
    ),
    "completed with an error, or without a result": (
        "SELECT id FROM jobs WHERE status = 'completed' AND (error IS NOT NULL OR result IS NULL)"
    ),
    "more ends than starts": "SELECT id FROM jobs WHERE {attempt} < failures + crashes + snoozes + 1",
    "past its budget": "SELECT id FROM jobs WHERE failures >= max_attempts OR crashes >= max_crashes",
}
"""Rows that must not be there once everything is quiet."""


@dataclass
class Evidence:
    """``jobs``: as the API shows them, by id. ``leases``: the pid of every worker identity there ever was."""

    orders: Orders
    acked: Mapping[str, int]
    answered_twice: Sequence[str]
    doubtful: Mapping[int, int]
    jobs: Mapping[str, Mapping[str, Any]]
    ledger: Sequence[Line]
    effects: Sequence[Line]
    mails: Mapping[str, Mail]
    output: Path
    hurts: Sequence[Hurt] = ()
    leases: Mapping[str, int] = field(default_factory=dict)
    concurrency: int = 1
    """Slots of each worker."""
    snoozes: Mapping[str, int] = field(default_factory=dict)
    """Attempts that asked for later, by job."""
    released: Mapping[str, int] = field(default_factory=dict)
    """Attempts that were given back because their claim was never answered, by job, from the workers' logs."""
    illegal: Mapping[str, Sequence[str]] = field(default_factory=dict)
    wrong: Sequence[str] = ()
    """What else was seen during the run and must not be."""


def order_of(evidence: Evidence, job_id: str) -> int | None:
    """The order of a job that nobody was promised, as far as what it did names one."""
    job = evidence.jobs[job_id]
    if job["type"] == "STEPS":
        number: int | None = (job["result"] or {}).get("number")
        return number
    if job["type"] == "CSV_EXPORT":
        return order_in(evidence.output / f"{job_id}.csv")
    recipients = evidence.mails.get(job_id, Mail()).copies
    return next((number_in(each) for each in recipients), None)


def order_in(export: Path) -> int | None:
    """The order that a published export names in its first row."""
    try:
        return int(export.read_bytes().split(b"\r\n", 2)[1].split(b",", 1)[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


async def all_jobs(ports: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Every job, from the pages of whichever API answers: one may still walk into its ambush."""
    jobs: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        answer = await _ask_any(ports, "/admin/jobs?limit=200" + (f"&cursor={cursor}" if cursor else ""))
        page = answer.json
        jobs |= {job["id"]: job for job in page["jobs"]}
        cursor = page["nextCursor"]
        if cursor is None:
            return jobs


async def _ask_any(ports: Sequence[int], path: str) -> Answer:
    said = ""
    for number in range(100):
        try:
            answer = await ask(ports[number % len(ports)], "GET", path)
        except NotAnswered as error:
            said = str(error)
        else:
            if answer.status == 200:
                return answer
            said = str(answer)
        await Stop().within(0.3)
    raise AssertionError(f"no API shows its jobs: {said}")


def look_for_illegal(rung: Rung) -> dict[str, list[str]]:
    """Ids of the rows that must not be there, by what is wrong with them."""
    found = {
        what: [str(row[0]) for row in rung.query(sql.replace("{attempt}", rung.attempt))]
        for what, sql in ILLEGAL.items()
    }
    return {what: ids for what, ids in found.items() if ids}


@dataclass
class Said:
    """What the processes' own logs tell."""

    counts: Counter[str] = field(default_factory=Counter)
    released: Counter[str] = field(default_factory=Counter)
    bugs: list[str] = field(default_factory=list)


_TOLD = {
    "an outcome came too late and was dropped": "outcomes fenced off",
    "this worker was taken for dead; it goes on under a new identity": "new identities",
    "a job is no longer this worker's: its outcome is dropped": "attempts stopped as lost",
    "releasing a job whose claim was never answered": "claims given back",
    "took back a job of a dead worker": "jobs taken back",
}


def read_logs(folder: Path) -> Said:
    """Of all processes. A traceback is a bug: an outage is told in one line."""
    said = Said()
    for log in sorted(folder.glob("*.log")):
        for text in log.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                if text.startswith("Traceback"):
                    said.bugs.append(f"{log.name}: {text}")
                continue
            message = line.get("message", "")
            if message in _TOLD:
                said.counts[_TOLD[message]] += 1
            if message.startswith("releasing a job"):
                said.released[line.get("job", "")] += 1
            if "exception" in line or "traceback" in line:
                said.bugs.append(f"{log.name}: {text[:400]}")
    return said


async def leases_of(query: Query) -> dict[str, int]:
    """Ended ones too: they are kept for a day."""
    rows = await asyncio.to_thread(query, "SELECT id, pid FROM workers")
    return {str(worker_id): int(pid) for worker_id, pid in rows}


async def snoozes_of(query: Query) -> dict[str, int]:
    """By job, where there are any."""
    rows = await asyncio.to_thread(query, "SELECT id, snoozes FROM jobs WHERE snoozes > 0")
    return {str(job_id): int(count) for job_id, count in rows}


def own_records(folder: Path) -> tuple[list[Line], list[Line]]:
    """The handlers' ledger, and their effects."""
    return read_lines(folder / "ledger.txt"), read_lines(folder / "effects.txt")


def hurts_of(fleet: Fleet) -> list[Hurt]:
    """What was done to the processes, in order."""
    return sorted(fleet.hurts, key=lambda hurt: hurt.at)
