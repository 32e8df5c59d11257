"""The ways that the other tests make their rows by."""

from __future__ import annotations

from tests.conformance.steps import (
    WAYS,
    one_of_each,
    status_of,
    statuses,
)
from treadle.ids import WorkerId
from treadle.states import Status
from treadle.store.protocol import Store


def test_ways_are_named_after_where_they_end() -> None:
    assert {status_of(way) for way in WAYS} == set(Status)


async def test_every_way_ends_where_its_name_says(store: Store, worker_id: WorkerId) -> None:
    jobs = await one_of_each(store, worker_id)

    found = dict(zip(jobs, await statuses(store, list(jobs.values())), strict=True))
    assert found == {way: status_of(way).value for way in jobs}
