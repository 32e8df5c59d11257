"""Search: by hints where they are whole, by scan where they were lost, and never only one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.builders import NOW
from tests.waiting import eventually
from tests.worker.attempts import a_claimed_job
from tests.worker.house import Door, open_house
from treadle.ids import JobId, new_job_id
from treadle.job import ClaimedJob
from treadle.jobtype import Registry
from treadle.states import Status
from treadle.worker.search import MEMORY_SECONDS, PROBE_EVERY, Search


def jobs(count: int, *, age_seconds: float = 0.0, queue: str = "default") -> list[ClaimedJob]:
    """Jobs that were queued so long before the others of a test."""
    queued_at = NOW - timedelta(seconds=age_seconds)
    return [a_claimed_job(id=new_job_id(), queue=queue, queued_at=queued_at) for _ in range(count)]


def ids(jobs: Sequence[ClaimedJob]) -> list[JobId]:
    return [job.id for job in jobs]


def begun(found: Sequence[ClaimedJob], limit: int) -> Search:
    """A search whose first scan found this."""
    search = Search(reconcile_seconds=5.0)
    assert search.is_due(0.0)
    assert not search.is_probing
    search.scanned(found, limit, 0.0)
    return search


def by_hints(brought: Sequence[ClaimedJob], at: float) -> Search:
    """A search that goes by hints, which brought this at that moment."""
    search = begun([], 4)
    search.hinted(ids(brought), brought, at)
    assert not search.is_due(at)
    return search


def test_a_scan_that_found_less_than_it_might_leaves_it_to_hints_until_the_next_is_due() -> None:
    search = begun(jobs(3), 4)

    assert not search.is_due(4.9)
    assert not search.is_probing
    assert search.is_due(5.0)


def test_after_a_full_scan_hints_are_looked_at_without_waiting() -> None:
    search = begun(jobs(4), 4)

    assert search.is_probing
    assert not search.is_due(0.1)


def test_hints_for_what_the_scan_took_are_whole_and_claims_go_by_them() -> None:
    found = jobs(4)
    search = begun(found, 4)
    new = jobs(2)

    search.hinted(ids([*found[2:], *new]), new, 0.1)

    assert not search.is_due(0.1)
    assert not search.is_probing


def test_hints_for_what_somebody_else_took_are_whole_as_well() -> None:
    search = begun(jobs(4), 4)
    hinted = jobs(4)

    search.hinted(ids(hinted), hinted[:3], 0.1)

    assert not search.is_due(0.1)


def test_hints_that_are_all_new_stand_behind_jobs_without_hints_and_scans_go_on() -> None:
    search = begun(jobs(4, age_seconds=9), 4)
    probes = 0

    for _ in range(3 * PROBE_EVERY):
        if search.is_probing:
            probes += 1
            new = jobs(4)
            search.hinted(ids(new), new, 0.1)
        else:
            assert search.is_due(0.1)
            search.scanned(jobs(4, age_seconds=9), 4, 0.1)

    assert probes == 3


def test_where_there_are_no_hints_scans_go_on() -> None:
    search = begun(jobs(4), 4)
    assert search.is_probing

    search.scanned(jobs(4), 4, 0.1)  # nothing was there, so it was a scan's turn

    assert search.is_due(0.2)


def test_a_scan_is_due_even_while_hints_are_looked_at() -> None:
    search = begun(jobs(4), 4)

    assert search.is_due(5.0)


def test_what_is_no_older_than_what_hints_brought_has_its_hint_in_somebodys_hand() -> None:
    search = by_hints(jobs(4, age_seconds=2), at=4.8)

    search.scanned(jobs(4, age_seconds=1), 4, 5.0)

    assert not search.is_due(5.1)
    assert not search.is_probing


def test_of_jobs_of_one_moment_their_ids_tell_which_is_older() -> None:
    left_behind, brought, next_ones = jobs(4), jobs(4), jobs(4)
    search = by_hints(brought, at=4.8)
    search.scanned(next_ones, 4, 5.0)
    assert not search.is_probing

    search = by_hints(brought, at=4.8)
    search.scanned(left_behind, 4, 5.0)
    assert search.is_probing


def test_what_is_older_than_what_hints_brought_was_left_behind_by_them() -> None:
    search = by_hints(jobs(4, age_seconds=2), at=4.8)

    search.scanned([*jobs(3, age_seconds=1), *jobs(1, age_seconds=3)], 4, 5.0)

    assert search.is_probing


def test_a_line_of_which_hints_brought_nothing_may_have_lost_them() -> None:
    search = by_hints(jobs(4, age_seconds=2), at=4.8)

    search.scanned(jobs(4, age_seconds=1, queue="reports"), 4, 5.0)

    assert search.is_probing


@pytest.mark.parametrize(
    ("at", "is_remembered"), [(5.0 - 0.9 * MEMORY_SECONDS, True), (5.0 - 2 * MEMORY_SECONDS, False)]
)
def test_what_hints_brought_long_ago_says_nothing(at: float, is_remembered: bool) -> None:
    search = by_hints(jobs(4, age_seconds=2), at=at)

    search.scanned(jobs(4, age_seconds=1), 4, 5.0)

    assert search.is_probing is not is_remembered


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
        submitted = await house.submit_many("RUN", 200)
        await house.until(submitted[-1], Status.COMPLETED)
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
