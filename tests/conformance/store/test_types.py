"""Published types: the later publisher is right, and what stands there already is hardly ever written again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.builders import NOW, a_type
from tests.conformance.conftest import AnotherStore
from treadle.errors import Unstorable
from treadle.retry import Backoff
from treadle.store.protocol import TYPE_REFRESH, TYPES_KEPT, Store

A_LITTLE = timedelta(microseconds=1)


async def test_a_new_database_has_no_types(store: Store) -> None:
    assert await store.types() == []
    await store.publish_types([], NOW)
    assert await store.types() == []


async def test_published_types_are_read_back_whole_by_every_process_in_order_of_names(
    store: Store, another_store: AnotherStore
) -> None:
    schema = '{"type":"object","properties":{"größe":{"type":"integer"}},"z":1,"a":2}'
    types = [a_type(name=name, schema=schema) for name in ("b.B", "a", "B", "A-1")]

    await store.publish_types(types, NOW + A_LITTLE)

    assert await store.types() == sorted(types, key=lambda published: published.name)
    assert await (await another_store()).types() == await store.types()


@pytest.mark.parametrize(
    "change",
    [
        {"queue": "other"},
        {"max_attempts": 6},
        {"max_crashes": 3},
        {"timeout_seconds": 30.5},
        {"backoff": Backoff(1.0, 301.0)},
        {"backoff": Backoff(1.5, 300.0)},
        {"own_backoff": Backoff(2.0, 601.0)},
        {"own_backoff": Backoff(2.5, 600.0)},
        {"schema": '{"type": "object"}'},
    ],
)
async def test_of_two_that_differ_the_later_one_stays_whoever_speaks_last(
    store: Store, change: dict[str, object]
) -> None:
    old = a_type()
    new = a_type(published_at=NOW + A_LITTLE, **change)

    await store.publish_types([old], NOW)
    await store.publish_types([new], NOW)
    await store.publish_types([old], NOW + TYPE_REFRESH * 3)

    assert await store.types() == [new]


async def test_of_two_that_began_at_one_moment_the_first_stays(store: Store) -> None:
    await store.publish_types([a_type()], NOW)
    await store.publish_types([a_type(queue="other")], NOW)

    assert await store.types() == [a_type()]


async def test_an_older_publisher_does_not_keep_a_newer_ones_type_fresh(store: Store) -> None:
    await store.publish_types([a_type(published_at=NOW + A_LITTLE)], NOW)
    await store.publish_types([a_type(queue="other")], NOW + TYPES_KEPT / 2)

    await store.prune([], 100, NOW + TYPES_KEPT)

    assert await store.types() == []


async def test_what_stands_there_is_not_written_again_within_the_refresh(
    store: Store, another_store: AnotherStore
) -> None:
    await store.publish_types([a_type()], NOW)
    neighbour = await another_store()
    before = await neighbour.changes()

    await store.publish_types([a_type(published_at=NOW + A_LITTLE)], NOW + TYPE_REFRESH - A_LITTLE)

    assert await neighbour.changes() == before
    assert await store.types() == [a_type()]


async def test_what_stands_there_is_kept_fresh_after_the_refresh(store: Store) -> None:
    later = a_type(published_at=NOW + A_LITTLE)
    await store.publish_types([a_type()], NOW)
    await store.publish_types([later], NOW + TYPE_REFRESH)

    await store.prune([], 100, NOW + TYPES_KEPT)

    assert await store.types() == [later]


async def test_a_type_that_nobody_publishes_goes_in_the_end_and_the_others_stay(store: Store) -> None:
    gone, kept = a_type(name="GONE"), a_type(name="KEPT")
    await store.publish_types([gone], NOW)
    await store.publish_types([kept], NOW + A_LITTLE)

    await store.prune([], 100, NOW + TYPES_KEPT - A_LITTLE)
    assert await store.types() == [gone, kept]

    await store.prune([], 100, NOW + TYPES_KEPT)
    assert await store.types() == [kept]


async def test_types_that_cannot_be_stored_leave_nothing_behind(store: Store) -> None:
    with pytest.raises(Unstorable):
        await store.publish_types([a_type(name="FINE"), a_type(schema="{")], NOW)

    assert await store.types() == []
