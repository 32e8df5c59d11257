"""Search: by hints where they are whole, by scan where they were lost, and never only one of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.waiting import eventually
from tests.worker.house import Door, open_house
from treadle.ids import JobId, new_job_id
from treadle.jobtype import Registry
from treadle.states import Status
from treadle.worker.search import PROBE_EVERY, Search


def ids(count: int) -> list[JobId]:
    return [new_job_id() for _ in range(count)]


def begun(found: Sequence[JobId], limit: int) -> Search:
    """A search whose first scan found this."""
    search = Search(reconcile_seconds=5.0)
    assert search.is_due(0.0)
    assert not search.is_probing
    search.scanned(found, limit, 0.0)
    return search


def test_a_scan_that_found_less_than_it_might_leaves_it_to_hints_until_the_next_is_due() -> None:
    search = begun(ids(3), 4)

    assert not search.is_due(4.9)
    assert not search.is_probing
    assert search.is_due(5.0)


def test_after_a_full_scan_hints_are_looked_at_without_waiting() -> None:
    search = begun(ids(4), 4)

    assert search.is_probing
    assert not search.is_due(0.1)


def test_hints_for_what_the_scan_took_are_whole_and_claims_go_by_them() -> None:
    found = ids(4)
    search = begun(found, 4)

    search.hinted([*found[2:], *ids(2)], claimed=2)

    assert not search.is_due(0.1)
    assert not search.is_probing


def test_hints_for_what_somebody_else_took_are_whole_as_well() -> None:
    search = begun(ids(4), 4)

    search.hinted(ids(4), claimed=3)

    assert not search.is_due(0.1)


def test_hints_that_are_all_new_stand_behind_jobs_without_hints_and_scans_go_on() -> None:
    search = begun(ids(4), 4)
    probes = 0

    for _ in range(3 * PROBE_EVERY):
        if search.is_probing:
            probes += 1
            search.hinted(ids(4), claimed=4)
        else:
            assert search.is_due(0.1)
            search.scanned(ids(4), 4, 0.1)

    assert probes == 3


def test_where_there_are_no_hints_scans_go_on() -> None:
    search = begun(ids(4), 4)
    assert search.is_probing

    search.scanned(ids(4), 4, 0.1)  # nothing was there, so it was a scan's turn

    assert search.is_due(0.2)


def test_a_scan_is_due_even_while_hints_are_looked_at() -> None:
    search = begun(ids(4), 4)

    assert search.is_due(5.0)


@pytest.fixture
def door(registry: Registry) -> Door:
    door = Door()

    @registry.job("RUN")
    async def run(payload: dict[str, int]) -> None:
        await door.passed(payload["n"])

    return door


async def test_a_long_line_with_its_hints_is_worked_off_by_hints(registry: Registry, door: Door) -> None:
    door.open()
    async with open_house(registry, {"TREADLE_CONCURRENCY": "4", "TREADLE_RECONCILE_SECONDS": "60"}) as house:
        jobs = await house.submit_many("RUN", 200)
        await house.until(jobs[-1], Status.COMPLETED)
        await eventually(lambda: len(door.entered) == 200)

    assert sum(request.ids is None for request in house.store.claims) <= 6
    assert sorted(door.entered) == [*range(200)]


async def test_a_long_line_whose_hints_were_lost_goes_before_what_came_after_it(registry: Registry, door: Door) -> None:
    door.open()
    async with open_house(
        registry, {"TREADLE_CONCURRENCY": "4", "TREADLE_RECONCILE_SECONDS": "60"}, is_started=False
    ) as house:
        await house.submit_many("RUN", 100)
        while await house.dispatch.take(None, 1000, 0):
            pass
        late = [await house.submit("RUN", {"n": 100 + number}) for number in range(100)]
        await house.start()
        await house.until(late[-1], Status.COMPLETED)
        await eventually(lambda: len(door.entered) == 200)

    assert sorted(door.entered) == [*range(200)]
    last_lost = max(door.entered.index(number) for number in range(100))
    assert last_lost < 100 + 4 * (100 // (4 * PROBE_EVERY) + 2)  # the late ones before it came by a probe each
