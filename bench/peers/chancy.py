"""Chancy: jobs in PostgreSQL, run on the worker's own event loop, woken by NOTIFY."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

sys.path.append(sys.path.pop(0))  # this file bears the package's name

import psycopg
from chancy import Chancy, Job, Queue, Worker
from contract import Peer, database_url, main, payload, started

QUEUE = "bench"
POOL_SIZE = 10
CONCURRENCY_PER_SLOT = 10
"""It fetches as many jobs as may run at a time, so its concurrency is its batch too; its guide speaks of thousands."""
SEND_OUTGOING_INTERVAL_SECONDS = 0.1


def make_app(pool_size: int) -> Chancy:
    """Without the line that it logs for every job it pulls: a log that nobody reads is not part of the comparison."""
    log = logging.getLogger("chancy")
    log.setLevel(logging.WARNING)
    return Chancy(database_url(), max_connection_pool_size=pool_size, log=log)


async def noop(n: int) -> None:
    started()


def make_job(number: int) -> Job:
    # The worker imports the function by this name, and here the program is the module.
    return Job(func="__main__.noop", kwargs=payload(number), queue=QUEUE)


class ChancyPeer(Peer):
    name = "Chancy"
    package = "chancy"
    store = "PostgreSQL"
    page = "https://tkte.ch/chancy/guide/executors.html"
    settings = {
        "executor": "AsyncExecutor",
        "concurrency": f"{CONCURRENCY_PER_SLOT} x slots",
        "eager_polling": True,
        "send_outgoing_interval": f"{SEND_OUTGOING_INTERVAL_SECONDS} s (default 1 s)",
        "pool": f"{POOL_SIZE} connections (default)",
        "log": "WARNING",
        "psycopg": "binary (its C implementation)",
    }
    history = "the job's row, until the pruner takes it"
    after_kill = "the recovery plugin puts jobs of a worker without heartbeat (90 s) back, once a minute"
    submits = ("one", "in_flight", "bulk")
    batch_jobs = 1_000

    async def prepare(self) -> None:
        async with await psycopg.AsyncConnection.connect(database_url(), autocommit=True) as connection:
            await connection.execute("DROP SCHEMA public CASCADE")
            await connection.execute("CREATE SCHEMA public")
        async with make_app(1) as chancy:
            await chancy.migrate()

    async def connect(self, in_flight: int) -> None:
        self.chancy = make_app(min(in_flight, POOL_SIZE))
        await self.chancy.pool.open()
        await self.chancy.is_up_to_date()
        self.connection = await psycopg.AsyncConnection.connect(database_url(), autocommit=True)

    async def close(self) -> None:
        await self.connection.close()
        await self.chancy.pool.close()

    async def submit_one(self, number: int) -> None:
        await self.chancy.push(make_job(number))

    async def submit_many(self, numbers: Sequence[int]) -> None:
        async for _ in self.chancy.push_many([make_job(each) for each in numbers], batch_size=self.batch_jobs):
            pass

    async def pending(self) -> bool:
        cursor = await self.connection.execute(
            "SELECT EXISTS (SELECT FROM chancy_jobs WHERE state IN ('pending', 'running', 'retrying'))"
        )
        (found,) = await cursor.fetchone() or (False,)
        return bool(found)

    async def work(self, jobs: int, slots: int) -> None:
        async with make_app(POOL_SIZE) as chancy:
            queue = Queue(
                name=QUEUE,
                executor=Chancy.Executor.Async,
                concurrency=slots * CONCURRENCY_PER_SLOT,
                eager_polling=True,
            )
            await chancy.declare(queue, upsert=True)
            worker = Worker(chancy)
            worker.send_outgoing_interval = SEND_OUTGOING_INTERVAL_SECONDS
            async with worker:
                await worker.wait_for_shutdown()


if __name__ == "__main__":
    main(ChancyPeer())
