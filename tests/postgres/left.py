"""A line that was left while no vacuum could take its entries: what looks that begin at its head walk over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.builders import a_new_job
from tests.conformance.steps import an_id_at, at, insert, scan
from treadle.ids import WorkerId
from treadle.store.postgres.store import PostgresStore


@asynccontextmanager
async def a_line_left(store: PostgresStore, worker_id: WorkerId, pinning: asyncpg.Connection) -> AsyncIterator[None]:
    """3,000 jobs of 30 seconds from ``at(0)`` on, all claimed under a transaction that is open from before."""
    transaction = pinning.transaction(isolation="repeatable_read")
    await transaction.start()
    await pinning.fetchval("SELECT count(*) FROM jobs")
    for second in range(30):
        jobs = [a_new_job(id=an_id_at(at(second), number)) for number in range(100)]
        await insert(store, *jobs, now=at(second))
    while len(await scan(store, worker_id, limit=100)) == 100:
        pass
    yield
    await transaction.rollback()
