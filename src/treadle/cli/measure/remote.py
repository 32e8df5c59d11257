"""Submission to a server that runs already, and is somebody's: nothing else of it is touched."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from treadle.cli.measure.connection import Connection, Target
from treadle.cli.measure.load import Load
from treadle.cli.measure.report import Facts, Report, cpus_here
from treadle.cli.measure.screen import Screen
from treadle.cli.measure.submission import LONGEST_SECONDS, ids_in, measure_submission
from treadle.clock import rising_seconds
from treadle.store.engine import ROUND_TRIPS

SILENT_JOB = b'{"type":"CSV_EXPORT","payload":{"data":[]},"delaySeconds":86400}'
"""Every server has the type; it is due in a day, and cancelled long before."""
WITHDRAWING_CONNECTIONS = 16


async def measure_remote(target: Target, job: bytes | None, jobs: int, screen: Screen) -> Report:
    """``job``: a body of ``POST /jobs``, whose jobs are the user's own; ``None``: one that never runs.

    Raises ``Unavailable``, ``Unauthorized``, ``InvalidInput`` and whatever else the server's answers mean.
    """
    facts = Facts(server=target.url, server_round_trip_ms=await _round_trip_ms(target), cpus=cpus_here())
    answers: list[bytes] = []
    try:
        phases = await measure_submission(target, job or SILENT_JOB, jobs, answers, screen)
    finally:
        if job is None:
            await _withdraw(target, answers, screen)
    return Report(facts=facts, phases=phases, notes=[_fate(target, job)])


def _fate(target: Target, job: bytes | None) -> str:
    if job is not None:
        return "Its jobs are yours: the server's workers run them."
    deleted = " and deleted" if target.admin is not None else "; with ADMIN_USER and ADMIN_PASS they would be deleted"
    return f"Its jobs were exports due in a day, which were cancelled again{deleted}."


async def _round_trip_ms(target: Target) -> float:
    """Of the smallest request there is."""
    line = Connection(target)
    request = target.request("GET", "/live")
    taken: list[float] = []
    try:
        for _ in range(ROUND_TRIPS):
            await line.open() if not taken else None
            begun_at = rising_seconds()
            await line.exchange(request)
            taken.append((rising_seconds() - begun_at) * 1000)
    finally:
        line.close()
    return statistics.median(taken)


async def _withdraw(target: Target, answers: list[bytes], screen: Screen) -> None:
    ids = ids_in(answers)

    def requests(path: str, *, is_admin: bool) -> Iterator[bytes]:
        return (target.request("POST", path.format(job_id), is_admin=is_admin) for job_id in ids)

    steps = [("cancel them", requests("/jobs/{}/cancel", is_admin=False))]
    if target.admin is not None:
        steps.append(("delete them", requests("/admin/jobs/{}/delete", is_admin=True)))
    for name, step in steps:
        with screen.phase(name, len(ids)) as tell:
            await Load(target, []).run(step, min(WITHDRAWING_CONNECTIONS, len(ids)) or 1, LONGEST_SECONDS, tell)
