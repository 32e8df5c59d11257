"""PgQueuer: jobs in PostgreSQL, claimed with SKIP LOCKED, woken by NOTIFY."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta

sys.path.append(sys.path.pop(0))  # this file bears the package's name

import asyncpg
import uvloop
from contract import Peer, database_url, main, payload_json, started, until_terminated
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

ENTRYPOINT = "noop"
BATCH_SIZE = 300
POOL_SIZE = 20
"""The guide's own example of a producers' pool; twice the submitters would be more than PostgreSQL's 100."""


class PgQueuerPeer(Peer):
    name = "PgQueuer"
    package = "pgqueuer"
    store = "PostgreSQL"
    page = "https://janbjorge.github.io/pgqueuer/guides/performance-tuning/"
    settings = {
        "durability": "durable (default)",
        "autovacuum": "pgq autovac",
        "batch_size": BATCH_SIZE,
        "max_concurrent_tasks": "no limit (default)",
        "worker": "one asyncpg connection, uvloop as its command line",
        "producers": f"one by one: a connection; in flight: a pool of {POOL_SIZE}",
    }
    history = "a row in pgqueuer_log, without payload, never pruned"
    after_kill = "picked again when the heartbeat is older than heartbeat_timeout (30 s)"
    submits = ("one", "in_flight", "bulk")
    batch_jobs = 10_000
    loop_factory = uvloop.new_event_loop

    async def prepare(self) -> None:
        connection = await asyncpg.connect(database_url())
        queries = Queries(AsyncpgDriver(connection))
        if await queries.schema_is_installed():
            await queries.uninstall()
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    async def connect(self, in_flight: int) -> None:
        self.resource: asyncpg.Connection | asyncpg.Pool
        if in_flight == 1:
            self.resource = await asyncpg.connect(database_url())
            self.queries = Queries(AsyncpgDriver(self.resource))
        else:
            size = min(in_flight, POOL_SIZE)
            self.resource = await asyncpg.create_pool(database_url(), min_size=size, max_size=size)
            self.queries = Queries(AsyncpgPoolDriver(self.resource))
        await self.resource.fetchval("SELECT 1")

    async def close(self) -> None:
        await self.resource.close()

    async def submit_one(self, number: int) -> None:
        await self.queries.enqueue(ENTRYPOINT, payload_json(number))

    async def submit_many(self, numbers: Sequence[int]) -> None:
        count = len(numbers)
        await self.queries.enqueue([ENTRYPOINT] * count, [payload_json(each) for each in numbers], [0] * count)

    async def pending(self) -> bool:
        found: bool = await self.resource.fetchval("SELECT EXISTS (SELECT FROM pgqueuer)")
        return found

    async def work(self, jobs: int, slots: int) -> None:
        connection = await asyncpg.connect(database_url())
        pgq = PgQueuer(AsyncpgDriver(connection))

        @pgq.entrypoint(ENTRYPOINT)
        async def noop(job: Job) -> None:
            started()

        async def stop() -> None:
            await until_terminated()
            pgq.shutdown.set()

        stopping = asyncio.create_task(stop())
        await pgq.run(batch_size=BATCH_SIZE, dequeue_timeout=timedelta(seconds=30))
        stopping.cancel()
        await connection.close()


if __name__ == "__main__":
    main(PgQueuerPeer())
