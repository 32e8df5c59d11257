"""``treadle.testing`` keeps its word: a test that rests on it must not be wrong because of it."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

from tests.service.conftest import Office
from treadle.errors import OutcomeUnknown, Unavailable
from treadle.ids import new_job_id
from treadle.jobtype import Registry
from treadle.queue import Priority
from treadle.store.protocol import Store
from treadle.testing import FAST, FaultyStore, ManualClock, open_test_runtime
from treadle.testing.faults import METHODS


def test_a_manual_clock_moves_both_of_its_hands_and_only_forwards() -> None:
    clock = ManualClock()
    now, rising = clock.now(), clock.rising()

    clock.advance(1.5)

    assert ((clock.now() - now).total_seconds(), clock.rising() - rising) == (1.5, 1.5)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_every_method_of_a_store_passes_through_the_faults() -> None:
    for name in METHODS:
        own, wanted = getattr(FaultyStore, name), getattr(Store, name)
        assert inspect.signature(own) == inspect.signature(wanted)


async def test_faults_strike_in_the_order_and_as_often_as_they_were_ordered(office: Office) -> None:
    office.store.refuse("ping", times=2)
    office.store.lose_answer("ping", times=1)
    office.store.refuse("ping", times=1, error=ZeroDivisionError())

    told = [await asyncio.gather(office.store.ping(), return_exceptions=True) for _ in range(5)]

    assert [type(answer) for [answer] in told] == [
        Unavailable,
        Unavailable,
        OutcomeUnknown,
        ZeroDivisionError,
        type(None),
    ]
    assert office.store.calls["ping"] == 5


async def test_a_refused_call_does_nothing_and_one_whose_answer_is_lost_does_all(office: Office) -> None:
    office.store.refuse("declare_queues", times=1)
    office.store.lose_answer("declare_queues", times=1)

    with pytest.raises(Unavailable):
        await office.store.declare_queues(["never"])
    with pytest.raises(OutcomeUnknown):
        await office.store.declare_queues(["done"])

    names = {queue.name for queue in await office.real_store.queues()}
    assert "done" in names
    assert "never" not in names


async def test_an_outage_of_everything_ends_when_it_is_healed_and_gates_open(office: Office) -> None:
    office.store.refuse()
    with pytest.raises(Unavailable):
        await office.store.counts()
    office.store.heal()
    gate = office.store.hold("ping")
    waiting = asyncio.create_task(office.store.ping())
    await gate.reached.wait()
    assert not waiting.done()

    office.store.heal()

    await asyncio.wait_for(waiting, 5)


def test_a_fault_of_a_method_that_no_store_has_is_refused(office: Office) -> None:
    with pytest.raises(ValueError, match="no method"):
        office.store.refuse("clain")


async def test_a_faulty_dispatch_drops_repeats_and_invents(office: Office) -> None:
    first, second, invented = new_job_id(), new_job_id(), new_job_id()
    async with open_test_runtime(Registry()) as runtime:
        office.dispatch._dispatch = runtime.dispatch
        office.dispatch.drops = True
        office.dispatch.announce("default", Priority.HIGH, [first])
        office.dispatch.drops, office.dispatch.copies = False, 2
        office.dispatch.announce("default", Priority.HIGH, [second])
        office.dispatch.invented = [invented]

        assert await office.dispatch.take(None, 10, 0.01) == [invented, second, second]
        assert await office.dispatch.take(None, 10, 0.01) == [invented]
    assert [job_id for _, _, job_id in office.dispatch.announced] == [first, second]


async def test_a_runtime_without_a_folder_leaves_nothing_behind() -> None:
    async with open_test_runtime(Registry(), {"TREADLE_CONCURRENCY": "3"}) as runtime:
        folder: Path = runtime.settings.data_dir.parent
        assert (folder / "data" / "treadle.db").exists()
        assert (runtime.settings.concurrency, runtime.settings.lease_seconds) == (
            3,
            float(FAST["TREADLE_LEASE_SECONDS"]),
        )

    assert not folder.exists()
