"""The whole path behind a PgBouncer in transaction mode: no statement and no setting outlives its transaction there."""

from __future__ import annotations

import asyncio
import signal

import asyncpg
import pytest

from tests.flow.conftest import NewStack
from tests.servers import running
from tests.waiting import eventually_blocking

pytestmark = pytest.mark.only_on("postgres", reason="a PgBouncer stands in front of a PostgreSQL")


def behind(database: str) -> dict[str, str]:
    return {"DATABASE_URL": running.pgbouncer().in_front_of(database), "TREADLE_PGBOUNCER": "1"}


def test_everything_works_behind_a_pgbouncer(new_stack: NewStack) -> None:
    with running.machine_postgres().database() as database:
        stack = new_stack(behind(database))
        stack.start("mailbox")
        stack.start("api")
        worker = stack.start("worker")
        export = stack.submit("CSV_EXPORT", {"data": [{"z": 1, "a": "Zoë"}]})
        mail = stack.submit(
            "EMAIL_SEND", {"to": "ada@example.com", "subject": "Hello", "body": "It works."}, priority="high"
        )
        retried = stack.submit("LEDGER", {"killOnAttempt": 0}, delaySeconds=0.5)
        jobs = [{"type": "LEDGER", "payload": {"seconds": 0.2}} for _ in range(40)]
        batch = stack.client.post("/jobs/batch", json={"jobs": jobs}, headers={"Idempotency-Key": "once"})
        again = stack.client.post("/jobs/batch", json={"jobs": jobs}, headers={"Idempotency-Key": "once"})
        assert (batch.status_code, again.status_code, again.json()) == (201, 200, batch.json())
        eventually_blocking(lambda: len(stack.starts()) > 5)

        worker.send_signal(signal.SIGKILL)
        worker.wait()
        stack.start("worker")
        done = [stack.finish(job_id) for job_id in [export, mail, retried, *batch.json()["jobIds"]]]

        assert {job["status"] for job in done} == {"completed"}
        assert (stack.output / f"{export}.csv").read_bytes() == "z,a\r\n1,Zoë\r\n".encode()
        assert stack.client.get("/health").json()["status"] == "ok"
        assert "Traceback" not in stack.logs()


def test_a_transaction_of_the_users_own_submits_through_it_too(new_stack: NewStack) -> None:
    with running.machine_postgres().database() as database:
        stack = new_stack(behind(database))
        stack.start("api")
        stack.start("worker")

        made = asyncio.run(submit_within_a_transaction(running.pgbouncer().in_front_of(database)))

        assert stack.finish(made)["status"] == "completed"


async def submit_within_a_transaction(address: str) -> str:
    connection = await asyncpg.connect(address, statement_cache_size=0)
    try:
        async with connection.transaction():
            return str(await connection.fetchval("""SELECT treadle_submit('LEDGER', '{"seconds": 0.01}')"""))
    finally:
        await connection.close()
