"""Submission over HTTP: one by one, and many at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from treadle.cli.measure.connection import Connection, Target
from treadle.cli.measure.load import Load, phase_of
from treadle.cli.measure.report import Phase
from treadle.cli.measure.screen import Screen
from treadle.ids import JobId
from treadle.wire import MAX_BATCH_JOBS

SINGLY_SECONDS = {1: 3.0, 64: 5.0}
"""Connections, and how long they are kept busy at most."""
BATCHES_AT_ONCE = 4
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""Less than a server takes in one body unless it was told otherwise."""
WARMING_JOBS = 50
"""Sent before anything counts: a process that has just started runs everything for the first time."""
LONGEST_SECONDS = 86_400.0


class _Answer(msgspec.Struct, rename="camel"):
    """Of ``POST /jobs`` or ``POST /jobs/batch``."""

    job_id: JobId | None = None
    job_ids: tuple[JobId, ...] = ()


async def measure_submission(
    target: Target, job: bytes, jobs: int, answers: list[bytes], screen: Screen
) -> list[Phase]:
    """Three phases: as many single jobs as the time allows, ``jobs`` at most, twice; then ``jobs`` in batches.

    ``job``: a body of ``POST /jobs``. ``answers`` takes every answer. Raises what an answer that is no 201 means.
    """
    single = target.request("POST", "/jobs", job)
    await _warm(target, [single] * min(WARMING_JOBS, jobs), answers)
    phases: list[Phase] = []
    for connections, seconds in SINGLY_SECONDS.items():
        name = f"submit {connections}"
        with screen.phase(f"{name} at a time", jobs) as tell:
            taken = await Load(target, answers).run(itertools.repeat(single, jobs), connections, seconds, tell)
        phases.append(phase_of(name, taken, concurrency=connections))
    size = max(1, min(MAX_BATCH_JOBS, MAX_BATCH_BYTES // (len(job) + 1)))
    requests = list(_batches(target, job, jobs, size))
    with screen.phase("bulk", jobs) as tell:
        taken = await Load(target, answers).run(
            iter(requests), min(BATCHES_AT_ONCE, len(requests)), LONGEST_SECONDS, lambda done: tell(done * size)
        )
    bulk = phase_of("bulk", taken, jobs=jobs)
    return [*phases, msgspec.structs.replace(bulk, p50_ms=None, p99_ms=None)]  # of requests, and too few of them


def ids_in(answers: Sequence[bytes]) -> list[JobId]:
    """The ids that were handed out, in order."""
    ids: list[JobId] = []
    for answer in answers:
        told = msgspec.json.decode(answer, type=_Answer)
        if told.job_id is not None:
            ids.append(told.job_id)
        ids += told.job_ids
    return ids


async def _warm(target: Target, requests: list[bytes], answers: list[bytes]) -> None:
    line = Connection(target)
    try:
        for request in requests:
            answers.append((await line.exchange(request)).body)
    finally:
        line.close()


def _batches(target: Target, job: bytes, jobs: int, size: int) -> Iterator[bytes]:
    for begin in range(0, jobs, size):
        body = b'{"jobs":[' + b",".join([job] * min(size, jobs - begin)) + b"]}"
        yield target.request("POST", "/jobs/batch", body)
