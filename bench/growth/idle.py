"""``Idle``: what workers cost that have nothing to do: memory, their own CPU time, and that of both servers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import psycopg

from bench.marks import wait_until
from bench.meter import usage_of
from bench.program import Running
from bench.sample import Sample
from bench.scene import Scene, Step
from bench.servers import Ground
from bench.side import START_SECONDS, About
from bench.verdict import Bar, Better, Verdict, figures, median_of

RSS = Bar(60.0, Better.LESS)
HUNDRED = Bar(3.0, Better.LESS)
"""CPU seconds a minute of both servers together for a hundred workers: a twentieth of one core. Our own reading of
"next to nothing"."""

_CALM_SECONDS = 75.0
"""Until a worker has let go of the connections that its start needed (60 s), and looks for jobs without a hint as
seldom as it ever does."""
_NOBODYS_SECONDS = 5.0
"""Where there is no worker to wait for."""
_PAIR = "workers"


@dataclass(frozen=True)
class Idle:
    """None, one, many."""

    workers: int
    seconds: float
    name: str = "idle"
    title: str = "Idle workers"

    def steps(self, scene: Scene) -> list[Step]:
        """See ``Contest``."""
        return [Step(_PAIR, str(count), partial(self._take, scene, count)) for count in self._counts]

    @property
    def _counts(self) -> list[int]:
        return sorted({0, 1, self.workers})

    def verdicts(self, samples: Sequence[Sample], abouts: Mapping[str, About]) -> list[Verdict]:
        """See ``Contest``. What the servers do without any worker is subtracted."""
        per_hundred = 100 / self.workers
        many = str(self.workers)

        def of(figure: str, side: str) -> list[float]:
            return figures(samples, figure, _PAIR, side)

        def added(figure: str) -> list[float]:
            return [
                (with_them - without) * per_hundred
                for with_them, without in zip(of(figure, many), of(figure, "0"), strict=True)
            ]

        postgres, redis = added("postgres_cpu_seconds_per_minute"), added("redis_cpu_seconds_per_minute")
        connections = median_of(of("connections", many))
        asked = f"measured with {self.workers}" if self.workers != 100 else ""
        held = f"{connections:g} connections of {self.workers}" if connections is not None else ""
        unit = "s/min"
        return [
            Verdict(self.name, "memory of a worker", "MB", of("rss_mb", "1"), RSS),
            Verdict(self.name, "CPU of a worker", unit, of("worker_cpu_seconds_per_minute", "1")),
            Verdict(self.name, "memory of each of many", "MB", of("rss_mb", many), RSS, remark=asked),
            Verdict(self.name, "CPU of each of many", unit, of("worker_cpu_seconds_per_minute", many), remark=asked),
            Verdict(self.name, "CPU of both servers, 100 workers", unit,
                    [p + r for p, r in zip(postgres, redis, strict=True)], HUNDRED, remark=asked),
            Verdict(self.name, "CPU of PostgreSQL, 100 workers", unit, postgres, remark=held),
            Verdict(self.name, "CPU of Redis, 100 workers", unit, redis),
            Verdict(self.name, "transactions, 100 workers", "a second", added("transactions_per_second")),
            Verdict(self.name, "Redis commands, 100 workers", "a second", added("redis_commands_per_second")),
        ]  # fmt: skip

    def _take(self, scene: Scene, count: int) -> dict[str, float]:
        with scene.servers.ground() as ground, ExitStack() as stack:
            with scene.treadle.api(ground):
                pass  # it made the tables
            workers = [stack.enter_context(scene.treadle.worker(ground, {}, str(n))) for n in range(count)]
            wait_until(
                lambda: _registered(ground) >= count,
                within_seconds=START_SECONDS + 3 * count, pause_seconds=0.5, what=f"{count} workers",
            )  # fmt: skip
            time.sleep(_CALM_SECONDS if count else _NOBODYS_SECONDS)
            return self._watch(scene, ground, workers)

    def _watch(self, scene: Scene, ground: Ground, workers: Sequence[Running]) -> dict[str, float]:
        def counts() -> dict[str, float]:
            postgres, redis = (usage_of(pid).cpu_seconds for pid in ground.server_pids)
            with scene.servers.redis.client() as client:
                commands = float(client.info("stats")["total_commands_processed"])
            cpu = sum(usage_of(worker.pid).cpu_seconds for worker in workers)
            return {
                "postgres": postgres, "redis": redis, "worker": cpu, "commands": commands,
                "transactions": _number(ground, _TRANSACTIONS),
            }  # fmt: skip

        begun_at, before = time.monotonic(), counts()
        time.sleep(self.seconds)
        for worker in workers:
            worker.check()
        after, passed = counts(), time.monotonic() - begun_at
        grown = {name: after[name] - before[name] for name in before}
        rss = [usage_of(worker.pid).rss_bytes / 1e6 for worker in workers]
        of_workers = {
            "rss_mb": max(rss),
            "worker_cpu_seconds_per_minute": grown["worker"] * 60 / passed / len(workers),
        } if workers else {}  # fmt: skip
        return {
            **of_workers,
            "postgres_cpu_seconds_per_minute": grown["postgres"] * 60 / passed,
            "redis_cpu_seconds_per_minute": grown["redis"] * 60 / passed,
            "transactions_per_second": grown["transactions"] / passed,
            "redis_commands_per_second": grown["commands"] / passed,
            "connections": _number(ground, _CONNECTIONS),
        }


_TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
_CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)


def _registered(ground: Ground) -> float:
    return _number(ground, "SELECT count(*) FROM workers WHERE ended_at IS NULL")


def _number(ground: Ground, question: str) -> float:
    with psycopg.connect(ground.database_url, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
    return float(row[0]) if row else 0.0
