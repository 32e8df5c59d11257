"""kill -9 in the middle of commits: every acknowledged job is a row, and the file is sound."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest

from tests.conformance.neighbour import Neighbour, start
from treadle.ids import JobId, new_job_id
from treadle.states import Status
from treadle.store.sqlite.store import SQLiteStore

ROUNDS = 5
PROCESSES = 4
ENDLESS = 1_000_000


async def hear_and_kill(neighbour: Neighbour, count: int) -> list[str]:
    """Every id it acknowledged until it was killed, which is soon after ``count`` of them."""
    heard = [await neighbour.hear() for _ in range(count)]
    heard += await neighbour.kill()
    return [line for line in heard if line != "open"]


@pytest.mark.parametrize("seed", [20260504])
async def test_what_was_acknowledged_survives_twenty_kills(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged: list[JobId] = []

    for _ in range(ROUNDS):
        neighbours = await asyncio.gather(*(start("sqlite", str(path), "insert", ENDLESS) for _ in range(PROCESSES)))
        heard = await asyncio.gather(*(hear_and_kill(neighbour, chance.randrange(1, 400)) for neighbour in neighbours))
        # The last line may have been cut off: that id was not acknowledged to anybody.
        acknowledged += [JobId(job_id) for ids in heard for job_id in ids if len(job_id) == len(new_job_id())]

        store = SQLiteStore(path)
        await store.open(migrate=True)
        found = await store.statuses(acknowledged)
        await store.aclose()
        assert set(found) == set(acknowledged)
        assert set(found.values()) == {Status.QUEUED}
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    assert len(acknowledged) > ROUNDS * PROCESSES
