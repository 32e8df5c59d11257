"""Awa: an engine in Rust over PostgreSQL, and its Python binding."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

sys.path.append(sys.path.pop(0))  # this file bears the package's name

import asyncpg
from awa import AsyncClient
from contract import Peer, database_url, main, started, until_terminated

QUEUE = "bench"
POOL_SIZE = 10

LEFT = """
SELECT (SELECT coalesce(sum(awa.sequence_next_value(seq_name) - 1), 0) FROM awa.queue_enqueue_heads)
    > (SELECT coalesce(sum(completed_count), 0) FROM awa.receipt_completion_batches)
    + (SELECT coalesce(sum(pruned_completed_count), 0) FROM awa.queue_terminal_rollups)
    + (SELECT count(*) FROM awa.done_entries)
"""
"""Whether more was submitted than completed. Its own `queue_stats` took seconds of a core an answer in mid-drain."""


@dataclass
class Noop:
    n: int


class AwaPeer(Peer):
    name = "Awa"
    package = "awa-pg"
    store = "PostgreSQL"
    page = "https://github.com/hardbyte/awa/blob/main/docs/configuration.md"
    settings = {
        "engine": "queue storage (default of a fresh install)",
        "max_workers": "slots",
        "claimers": "1 (default)",
        "max_connections": f"{POOL_SIZE} (default)",
        "bulk": "enqueue_many_copy",
    }
    history = "arrays of receipts in rotated partitions, 24 h"
    after_kill = "rescued when the heartbeat is stale (about 90 s)"
    submits = ("one", "in_flight", "bulk")
    batch_jobs = 10_000

    async def prepare(self) -> None:
        connection = await asyncpg.connect(database_url())
        await connection.execute("DROP SCHEMA IF EXISTS awa CASCADE")
        await connection.close()
        async with AsyncClient(database_url()) as client:
            await client.migrate()
            await client.install_queue_storage()  # a worker of a fresh install would do it at its first start

    async def connect(self, in_flight: int) -> None:
        self.client = AsyncClient(database_url(), max_connections=min(in_flight, POOL_SIZE))
        await self.client.health_check()
        self.connection = await asyncpg.connect(database_url())

    async def close(self) -> None:
        await self.connection.close()
        await self.client.close()

    async def submit_one(self, number: int) -> None:
        await self.client.insert(Noop(number), queue=QUEUE)

    async def submit_many(self, numbers: Sequence[int]) -> None:
        await self.client.enqueue_many_copy([Noop(each) for each in numbers], queue=QUEUE)

    async def pending(self) -> bool:
        left: bool = await self.connection.fetchval(LEFT)
        return left

    async def work(self, jobs: int, slots: int) -> None:
        async with AsyncClient(database_url(), max_connections=POOL_SIZE) as client:

            @client.task(Noop, queue=QUEUE)
            async def noop(job: Any) -> None:
                started()

            await client.start([{"name": QUEUE, "max_workers": slots}])
            await until_terminated()
            await client.shutdown()


if __name__ == "__main__":
    main(AwaPeer())
