"""Check: the invariants, asked of a store as it stands; what a store's own methods can leave behind is found."""

from __future__ import annotations

import pytest

from tests.builders import a_key, a_new_job, a_submission
from tests.conformance.steps import a_worker_in, at, inserted, one_of_each, settle, started
from treadle.ids import new_job_id
from treadle.states import Verb
from treadle.store.invariants import INVARIANTS
from treadle.store.protocol import Store

ALL = tuple(INVARIANTS)


async def test_a_job_at_the_end_of_every_way_keeps_every_invariant(store: Store) -> None:
    worker_id = await a_worker_in(store, beat_at=at(1000))
    await one_of_each(store, worker_id)
    await started(store, worker_id, payload=b'{"text":"' + b"x" * 300_000 + b'"}')
    await store.insert([a_submission(a_new_job(), a_new_job(), key=a_key())], at(0))
    finished = await started(store, worker_id)
    await settle(store, finished.id, 1, Verb.COMPLETE)
    await store.erase([finished.id], at(1))

    assert await store.check(ALL, at(30), 10) == {}
    assert await store.check((), at(30), 10) == {}


async def test_jobs_that_nobody_took_back_are_found_once_it_is_too_late(store: Store) -> None:
    silent = await a_worker_in(store, beat_at=at(10))
    ended = await a_worker_in(store, beat_at=at(1000))
    left = [(await started(store, worker_id)).id for worker_id in (silent, ended)]
    await store.end_worker(ended, None, at(20))

    assert await store.check(ALL, at(10), 10) == {}
    assert await store.check(ALL, at(10.001), 10) == {"orphan_left": [left[0]]}
    [(name, found)] = (await store.check(ALL, at(21), 10)).items()
    assert (name, sorted(found)) == ("orphan_left", sorted(left))


async def test_jobs_that_nobody_promoted_are_found_once_it_is_too_late(store: Store) -> None:
    job_id = await inserted(store, run_at=at(60))

    assert await store.check(ALL, at(60), 10) == {}
    assert await store.check(ALL, at(61), 10) == {"due_left": [job_id]}


async def test_budgets_starts_and_keys_are_watched(store: Store) -> None:
    worker_id = await a_worker_in(store, beat_at=at(1000))
    spent = await started(store, worker_id, max_attempts=1)
    await settle(store, spent.id, 1, Verb.RETRY)
    counted = await started(store, worker_id)
    await settle(store, counted.id, 1, Verb.RETRY, failures=1, crashes=1)
    twice = a_new_job()
    await store.insert([a_submission(twice, key=a_key()), a_submission(twice, key=a_key(key="order-2"))], at(0))

    assert await store.check(ALL, at(30), 10) == {
        "budget_exceeded": [spent.id],
        "starts_unaccounted": [counted.id],
        "job_under_two_keys": [twice.id],
    }


async def test_no_more_is_told_than_was_asked_for(store: Store) -> None:
    for _ in range(5):
        await inserted(store, id=new_job_id(), run_at=at(60))

    assert len((await store.check(ALL, at(61), 3))["due_left"]) == 3


async def test_a_name_that_no_invariant_has_is_refused(store: Store) -> None:
    with pytest.raises(KeyError):
        await store.check(["due_lft"], at(0), 10)
