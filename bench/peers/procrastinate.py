"""Procrastinate: jobs in PostgreSQL, one row claimed at a time, woken by NOTIFY."""

from __future__ import annotations

import sys
from collections.abc import Sequence

sys.path.append(sys.path.pop(0))  # this file bears the package's name

import psycopg
from contract import Peer, database_url, main, payload, started
from procrastinate import App, PsycopgConnector

POOL_SIZE = 20


def make_app(pool_size: int) -> App:
    """An app with the one task, and at most so many connections."""
    app = App(connector=PsycopgConnector(conninfo=database_url(), min_size=min(4, pool_size), max_size=pool_size))

    @app.task(name="noop", queue="bench")
    async def noop(n: int) -> None:
        started()

    return app


class ProcrastinatePeer(Peer):
    name = "Procrastinate"
    package = "procrastinate"
    store = "PostgreSQL"
    page = "https://procrastinate.readthedocs.io/en/stable/howto/basics/worker.html"
    settings = {
        "concurrency": "slots",
        "pool": f"{POOL_SIZE} connections",
        "psycopg": "binary (its C implementation)",
        "listen_notify": True,
        "delete_jobs": "never (default)",
    }
    history = "the job's row and a row for each of its events, never pruned unless asked for"
    after_kill = "stays 'doing' until a periodic task of one's own asks for stalled jobs and retries them"
    submits = ("one", "in_flight", "bulk")
    batch_jobs = 1_000

    async def prepare(self) -> None:
        async with await psycopg.AsyncConnection.connect(database_url(), autocommit=True) as connection:
            await connection.execute("DROP SCHEMA public CASCADE")
            await connection.execute("CREATE SCHEMA public")
        async with make_app(2).open_async() as app:
            await app.schema_manager.apply_schema_async()

    async def connect(self, in_flight: int) -> None:
        self.app = make_app(min(in_flight, POOL_SIZE))
        await self.app.open_async()
        await self.app.check_connection_async()
        self.task = self.app.tasks["noop"]
        self.connection = await psycopg.AsyncConnection.connect(database_url(), autocommit=True)

    async def close(self) -> None:
        await self.connection.close()
        await self.app.close_async()

    async def submit_one(self, number: int) -> None:
        await self.task.defer_async(**payload(number))

    async def submit_many(self, numbers: Sequence[int]) -> None:
        await self.task.batch_defer_async(*(payload(each) for each in numbers))

    async def pending(self) -> bool:
        # In the words of the partial index over jobs that are not done.
        cursor = await self.connection.execute(
            "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status = ANY (ARRAY['todo'::procrastinate_job_status,"
            " 'doing'::procrastinate_job_status]))"
        )
        (found,) = await cursor.fetchone() or (False,)
        return bool(found)

    async def work(self, jobs: int, slots: int) -> None:
        async with make_app(POOL_SIZE).open_async() as app:
            await app.run_worker_async(concurrency=slots)


if __name__ == "__main__":
    main(ProcrastinatePeer())
