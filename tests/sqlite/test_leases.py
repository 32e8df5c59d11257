"""Leases that no verb can lose: the rows are taken away by hand."""

from __future__ import annotations

import pytest

from tests.builders import NOW
from tests.conformance.steps import a_worker_in, inserted, scan, started
from tests.sqlite.conftest import Beside
from treadle.store.sqlite.store import SQLiteStore


async def test_jobs_whose_lease_row_is_gone_are_orphans(store: SQLiteStore, beside: Beside) -> None:
    worker_id, other = await a_worker_in(store), await a_worker_in(store)
    job = await started(store, worker_id)
    await started(store, other)

    beside().execute("DELETE FROM workers WHERE id = ?", [worker_id])

    assert [(orphan.id, orphan.worker_id) for orphan in await store.orphans(10)] == [(job.id, worker_id)]


@pytest.mark.parametrize("beat", [None, 0])
async def test_a_worker_whose_lease_row_is_gone_neither_beats_nor_claims(
    store: SQLiteStore, beside: Beside, beat: int | None
) -> None:
    worker_id = await a_worker_in(store)
    await inserted(store)

    beside().execute("DELETE FROM workers WHERE id = ?", [worker_id])

    assert await store.beat(worker_id, 0, NOW) is None
    assert await scan(store, worker_id) == []
    assert await store.end_worker(worker_id, beat, NOW) is False
