"""Idempotency keys: one key, one set of jobs, until it expires."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.builders import a_key, a_new_job, a_submission
from tests.conformance.steps import MICROSECOND, at, claim, settle, statuses
from treadle.errors import Unstorable
from treadle.ids import JobId, WorkerId
from treadle.states import Status, Verb
from treadle.store.protocol import Inserted, KeyClash, Replayed, Store, Submission

OTHER_BODY = b"\x02" * 32


def ids_of(unit: Submission) -> tuple[JobId, ...]:
    return tuple(job.id for job in unit.jobs)


async def jobs_in(store: Store) -> int:
    return sum((await store.counts()).values())


@pytest.mark.parametrize("size", [1, 3])
async def test_the_same_key_with_the_same_body_replays_the_first_ids(store: Store, now: datetime, size: int) -> None:
    first, second, third = [a_submission(*(a_new_job() for _ in range(size)), key=a_key()) for _ in range(3)]

    results = [(await store.insert([unit], now))[0] for unit in (first, second, third)]

    assert results == [Inserted(ids_of(first)), Replayed(ids_of(first)), Replayed(ids_of(first))]
    assert await jobs_in(store) == size


async def test_the_same_key_with_another_body_clashes_and_inserts_nothing(store: Store, now: datetime) -> None:
    first, other = a_submission(key=a_key()), a_submission(key=a_key(fingerprint=OTHER_BODY))
    await store.insert([first], now)

    assert await store.insert([other], now) == [KeyClash()]

    assert await store.get(ids_of(other)) == {}
    assert await store.insert([a_submission(key=a_key())], now) == [Replayed(ids_of(first))]


async def test_a_clash_and_a_replay_fail_no_neighbour(store: Store, now: datetime) -> None:
    first = a_submission(key=a_key())
    await store.insert([first], now)
    before, after = a_submission(), a_submission(key=a_key(key="another"))

    results = await store.insert(
        [before, a_submission(key=a_key(fingerprint=OTHER_BODY)), a_submission(key=a_key()), after], now
    )

    assert results == [Inserted(ids_of(before)), KeyClash(), Replayed(ids_of(first)), Inserted(ids_of(after))]
    assert await jobs_in(store) == 3


async def test_a_unit_that_is_sent_again_with_its_own_ids_was_inserted_not_replayed(
    store: Store, worker_id: WorkerId, now: datetime
) -> None:
    unit = a_submission(a_new_job(), a_new_job(), key=a_key())
    await store.insert([unit], now)
    await claim(store, worker_id, unit.jobs[0].id)
    await settle(store, unit.jobs[0].id, 1, Verb.COMPLETE)

    assert await store.insert([unit], at(5)) == [Inserted(ids_of(unit))]

    assert await statuses(store, ids_of(unit)) == ["completed", "queued"]


async def test_a_replay_tells_the_ids_of_jobs_that_moved_on(store: Store, worker_id: WorkerId, now: datetime) -> None:
    unit = a_submission(key=a_key())
    await store.insert([unit], now)
    await claim(store, worker_id, *ids_of(unit))
    await settle(store, unit.jobs[0].id, 1, Verb.COMPLETE)

    assert await store.insert([a_submission(key=a_key())], at(5)) == [Replayed(ids_of(unit))]

    assert await statuses(store, ids_of(unit)) == ["completed"]


async def test_keys_of_different_scopes_and_names_are_strangers(store: Store, now: datetime) -> None:
    names = [("", "k"), ("alice", "k"), ("bob", "k"), ("", "K"), ("k", ""), ("alice", " k")]
    units = [a_submission(key=a_key(scope=scope, key=key)) for scope, key in names]

    results = await store.insert(units, now)

    assert results == [Inserted(ids_of(unit)) for unit in units]


async def test_a_key_holds_until_it_expires_and_is_free_from_then_on(store: Store, now: datetime) -> None:
    first, early, late = [a_submission(key=a_key(expires_at=expires_at)) for expires_at in (at(60), at(120), at(180))]
    await store.insert([first], now)

    assert await store.insert([early], at(60) - MICROSECOND) == [Replayed(ids_of(first))]
    assert await store.insert([late], at(60)) == [Inserted(ids_of(late))]
    # The key is the later one's now, with the later one's life.
    assert await store.insert([early], at(179)) == [Replayed(ids_of(late))]


async def test_an_expired_key_takes_another_body(store: Store, now: datetime) -> None:
    await store.insert([a_submission(key=a_key(expires_at=at(60)))], now)
    other = a_submission(key=a_key(fingerprint=OTHER_BODY, expires_at=at(120)))

    assert await store.insert([other], at(60)) == [Inserted(ids_of(other))]
    assert await store.insert([a_submission(key=a_key())], at(61)) == [KeyClash()]


async def test_a_unit_that_is_sent_again_after_its_key_expired_is_inserted_once(store: Store, now: datetime) -> None:
    unit = a_submission(key=a_key(expires_at=at(60)))
    await store.insert([unit], now)

    assert await store.insert([unit], at(90)) == [Inserted(ids_of(unit))]
    assert await jobs_in(store) == 1


async def test_of_two_units_with_one_key_in_one_batch_the_first_counts(store: Store, now: datetime) -> None:
    first, same, other = [
        a_submission(key=a_key()),
        a_submission(key=a_key()),
        a_submission(key=a_key(fingerprint=OTHER_BODY)),
    ]

    assert await store.insert([first, same, other], now) == [
        Inserted(ids_of(first)),
        Replayed(ids_of(first)),
        KeyClash(),
    ]
    assert await jobs_in(store) == 1


@pytest.mark.parametrize("keyed_is_bad", [True, False])
async def test_a_refused_batch_takes_no_key(store: Store, now: datetime, keyed_is_bad: bool) -> None:
    bad = "q" * 64
    keyed = a_submission(queue=bad if keyed_is_bad else "fine", key=a_key())
    with pytest.raises(Unstorable):
        await store.insert([keyed, a_submission(queue=bad)], now)

    other = a_submission(key=a_key(fingerprint=OTHER_BODY))

    assert await store.insert([other], now) == [Inserted(ids_of(other))]
    assert (await store.counts())[Status.QUEUED] == 1


async def test_a_key_of_any_text_is_kept_apart_from_sql(store: Store, now: datetime) -> None:
    odd = "'; DROP TABLE jobs; -- ∅ \U0001f9f5 \x7f"
    unit = a_submission(key=a_key(scope=odd, key=odd))
    await store.insert([unit], now)

    assert await store.insert([a_submission(key=a_key(scope=odd, key=odd))], now) == [Replayed(ids_of(unit))]
