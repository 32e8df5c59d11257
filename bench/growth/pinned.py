"""``Pinned``: a transaction is held open, as a report or a backup holds one, while jobs are claimed and settled.

As long as it lives no version of a row that was dead after its beginning goes away: neither from the table nor from
any index.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from bench.growth.curves import BENDS
from bench.growth.steady import Shape, steady
from bench.sample import Sample
from bench.scene import Scene, Step
from bench.servers import Ground
from bench.side import About
from bench.verdict import TREADLE, Bar, Better, Verdict, figures, median_of
from treadle.store.postgres.connection import SESSION

PARTS = 6
"""Into which the time under the transaction is divided."""
_AS_FAST = Bar(0.8)
"""Jobs a second. Wall time, and so what the machine's other guests do, too: cost is the steadier of the two."""

LOOK = Bar(30.0, Better.LESS)
"""A hundredth of what a beat waits for its answer. Every beat asks what of its worker's jobs is still its own."""
WHOLE_LOOK = Bar(300.0, Better.LESS)
"""A tenth of it. Every few leases one asks for all that points to the worker, by an index that keeps an entry of every
job that has run since the transaction began."""
_NO_LEASE = Bar(0.0, Better.LESS)

PAIR = "held open"
_ASKED_TIMES = 5


@dataclass(frozen=True)
class Pinned:
    """Before, during, after."""

    pin_seconds: float
    quiet_seconds: float
    name: str = "pinned"

    @property
    def title(self) -> str:
        return f"A transaction held open for {self.pin_seconds:g} s"

    @property
    def moments(self) -> list[str]:
        """Names of what is measured, in order."""
        return ["before", *(f"during_{n}" for n in range(1, PARTS + 1)), "after"]

    def seconds_at(self, moment: str) -> float:
        """The end of it, from the beginning on."""
        if moment == "before":
            return self.quiet_seconds
        part = PARTS if moment == "after" else int(moment.rpartition("_")[2])
        return self.quiet_seconds * (2 if moment == "after" else 1) + self.pin_seconds * part / PARTS

    def steps(self, scene: Scene) -> list[Step]:
        """See ``Contest``."""
        return [Step(PAIR, TREADLE, lambda: self._take(scene))]

    def verdicts(self, samples: Sequence[Sample], abouts: Mapping[str, About]) -> list[Verdict]:
        """See ``Contest``. The last part under the transaction beside what was before it; and after it."""
        last = f"during_{PARTS}"
        return [
            self._beside(samples, "cost at its end", last, "cpu_us", "µs", BENDS),
            self._beside(samples, "rate at its end", last, "jobs_per_second", "jobs/s", _AS_FAST),
            self._beside(samples, "cost after it", "after", "cpu_us", "µs", BENDS),
            self._beside(samples, "rate after it", "after", "jobs_per_second", "jobs/s", _AS_FAST),
            self._alone(samples, "a beat's look at its jobs before it", "before_look_ms", "ms", None),
            self._alone(samples, "a beat's look at its jobs at its end", "during_look_ms", "ms", LOOK),
            self._alone(samples, "a look for everything at its end", "during_whole_look_ms", "ms", WHOLE_LOOK),
            self._alone(samples, "leases lost", "leases_lost", "", _NO_LEASE),
        ]

    def _alone(self, samples: Sequence[Sample], what: str, figure: str, unit: str, bar: Bar | None) -> Verdict:
        dead = median_of(figures(samples, "dead_rows", PAIR, TREADLE))
        remark = f"{dead:,.0f} dead rows by then" if dead and figure.startswith("during") else ""
        return Verdict(self.name, what, unit, figures(samples, figure, PAIR, TREADLE), bar, remark=remark)

    def _beside(self, samples: Sequence[Sample], what: str, moment: str, figure: str, unit: str, bar: Bar) -> Verdict:
        above, below = (figures(samples, f"{m}_{figure}", PAIR, TREADLE) for m in (moment, "before"))
        values = [a / b for a, b in zip(above, below, strict=True)]
        remark = "; ".join(sample.error.splitlines()[0][:200] for sample in samples if sample.error)
        return Verdict(self.name, what, "×", values, bar, median_of(above), median_of(below), unit, remark)

    def _take(self, scene: Scene) -> dict[str, float]:
        found: dict[str, float] = {}
        with scene.servers.ground() as ground, steady(scene.treadle, ground, Shape()) as state:

            def watch(moment: str, seconds: float) -> None:
                found.update({f"{moment}_{name}": value for name, value in state.watch(seconds).items()})

            before, *during, after = self.moments
            watch(before, self.quiet_seconds)
            found["before_look_ms"], _ = _look_ms(ground)
            with held_open(ground):
                for moment in during:
                    watch(moment, self.pin_seconds / PARTS)
                found["dead_rows"] = _number(ground, _DEAD_ROWS)
                found["during_look_ms"], found["during_whole_look_ms"] = _look_ms(ground)
            watch(after, self.quiet_seconds)
            found["leases_lost"] = _number(ground, "SELECT count(*) - 1 FROM workers")
        return found


@contextmanager
def held_open(ground: Ground) -> Iterator[None]:
    """A transaction with a snapshot, which does nothing."""
    with psycopg.connect(ground.database_url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM queues")
        yield
        connection.rollback()


_DEAD_ROWS = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'jobs'"
_HELD = """\
SELECT id FROM jobs
WHERE status = 'processing' AND worker_id = (SELECT id FROM workers WHERE ended_at IS NULL LIMIT 1)"""
_STILL_HELD = """\
SELECT id FROM jobs WHERE id = ANY (%s) AND worker_id = (SELECT id FROM workers WHERE ended_at IS NULL LIMIT 1)"""


def _look_ms(ground: Ground) -> tuple[float, float]:
    """How long a beat's two questions take, in a session like its own: of what is held, and of everything.

    The least of several: the first of a connection is planned with nothing at hand, and what is measured is busy.
    """
    with psycopg.connect(ground.database_url, autocommit=True) as connection:
        for name, value in SESSION.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        took: list[tuple[float, float]] = []
        for _ in range(_ASKED_TIMES):
            begun_at = time.monotonic()
            held = [row[0] for row in connection.execute(_HELD)]
            asked_at = time.monotonic()
            connection.execute(_STILL_HELD, [held])
            took.append(((time.monotonic() - asked_at) * 1000, (asked_at - begun_at) * 1000))
    return min(look for look, _ in took), min(whole for _, whole in took)


def _number(ground: Ground, question: str) -> float:
    with psycopg.connect(ground.database_url, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
    return float(row[0]) if row else 0.0
