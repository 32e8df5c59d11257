"""``Retention``: how long submissions take while expired rows are being deleted, and while none are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import psycopg

from bench.connection import Connection
from bench.history import fill
from bench.program import ProgramFailed
from bench.sample import Sample
from bench.scene import Scene, Step
from bench.servers import Ground
from bench.side import About, percentile
from bench.treadle_side import CONNECTIONS
from bench.verdict import Bar, Better, Verdict, figures, median_of, ratios
from bench.wrk import load

PACED_CONNECTIONS = 8
PACE_SECONDS = 0.04
"""Between two submissions of one connection: many times what a commit takes, and all together far from what the API
can take."""
UNHURT = Bar(1.25, Better.LESS)

_WARM_SECONDS = 2.0
_EXPIRING = {"TREADLE_RETENTION_COMPLETED_DAYS": "0.5"}
"""All of the history is older. Without it, everything is kept for 7 days, and all of the history is younger."""
_SIDES = ("kept", "expired")
_PACED, _BUSY = "one by one", f"{CONNECTIONS} connections"


@dataclass(frozen=True)
class Retention:
    """With and without."""

    rows: int
    paced_seconds: float
    busy_seconds: float
    name: str = "retention"

    @property
    def title(self) -> str:
        return f"Submission while {self.rows:,} expired rows are deleted"

    def steps(self, scene: Scene) -> list[Step]:
        """See ``Contest``."""
        takes = ((_PACED, self._paced), (_BUSY, self._busy))
        return [Step(pair, side, partial(self._on, scene, side, take)) for pair, take in takes for side in _SIDES]

    def verdicts(self, samples: Sequence[Sample], abouts: Mapping[str, About]) -> list[Verdict]:
        """See ``Contest``."""
        kept, expired = _SIDES
        found = []
        for pair in (_PACED, _BUSY):
            for figure, bar in (("p50_ms", None), ("p99_ms", UNHURT)):
                ours, theirs = (median_of(figures(samples, figure, pair, side)) for side in (expired, kept))
                gone = median_of(figures(samples, "deleted_rows", pair, expired))
                remark = "" if gone is None else f"{gone:,.0f} rows were deleted meanwhile"
                values = ratios(samples, figure, pair, expired, kept)
                what = f"{figure.partition('_')[0]}, {pair}"
                found.append(Verdict(self.name, what, "×", values, bar, ours, theirs, "ms", remark))
        return found

    def _on(self, scene: Scene, side: str, take: Callable[[int], dict[str, float]]) -> dict[str, float]:
        settings = _EXPIRING if side == "expired" else {}
        with scene.servers.ground() as ground:
            with scene.treadle.api(ground):
                pass  # it made the tables
            fill(ground, self.rows)
            with scene.treadle.api(ground, settings) as port, scene.treadle.worker(ground, settings):
                time.sleep(_WARM_SECONDS)
                before = _deleted(ground)
                found = take(port)
                return {**found, "deleted_rows": _deleted(ground) - before}

    def _paced(self, port: int) -> dict[str, float]:
        return paced(port, self.paced_seconds)

    def _busy(self, port: int) -> dict[str, float]:
        done = load(port, CONNECTIONS, self.busy_seconds)
        if done.others or done.broken:
            raise ProgramFailed(f"{done.others} answers were no 201, {done.broken} connections broke")
        return {"p99_ms": done.p99_ms, "p50_ms": done.p50_ms, "jobs_per_second": done.created / done.seconds}


def paced(port: int, seconds: float) -> dict[str, float]:
    """One by one in each of several connections, at a steady pace, so that waiting is no queueing.

    Each is timed from when it was due: what one late answer does to the next is not hidden.
    """
    count = max(1, int(seconds / PACE_SECONDS))
    begun_at = time.monotonic()

    def submit(number: int) -> list[float]:
        with Connection(port) as connection:
            dues = (begun_at + PACE_SECONDS * (n + number / PACED_CONNECTIONS) for n in range(count))
            return [_submit_at(connection, due_at) for due_at in dues]

    with ThreadPoolExecutor(PACED_CONNECTIONS) as pool:
        latencies = [ms for some in pool.map(submit, range(PACED_CONNECTIONS)) for ms in some]
    shares = {"p99_ms": 0.99, "p50_ms": 0.5, "max_ms": 1.0}
    return {**{name: percentile(latencies, share) for name, share in shares.items()}, "jobs": len(latencies)}


def _submit_at(connection: Connection, due_at: float) -> float:
    """Milliseconds from ``due_at`` to the answer."""
    time.sleep(max(0.0, due_at - time.monotonic()))
    answer = connection.post("/jobs", b'{"type":"NOOP","payload":{"n":1}}')
    if answer.status != 201:
        raise ProgramFailed(f"POST /jobs: {answer}")
    return (time.monotonic() - due_at) * 1000


def _deleted(ground: Ground) -> float:
    with psycopg.connect(ground.database_url) as connection:
        row = connection.execute("SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'jobs'").fetchone()
    return float(row[0]) if row else 0.0
