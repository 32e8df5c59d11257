"""Published job types: the newest word on a name counts, and what nobody repeats is forgotten."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from tests.builders import NOW
from tests.conformance.conftest import AnotherStore
from treadle.retry import Backoff
from treadle.store.protocol import TYPES_KEPT, PublishedType, Store


def a_type(**overrides: Any) -> PublishedType:
    published = PublishedType(
        name="PARCEL",
        queue="parcels",
        max_attempts=5,
        max_crashes=2,
        timeout_seconds=7.5,
        backoff=Backoff(0.25, 600.0),
        schema='{"z":1,"a":{"title":"Zo\u00eb"},"type":"object"}'.encode(),
    )
    return replace(published, **overrides)


async def test_a_new_database_has_none(store: Store) -> None:
    assert await store.types() == []


async def test_what_was_published_is_read_as_it_was_by_name(store: Store, another_store: AnotherStore) -> None:
    await store.publish_types([a_type(), a_type(name="b"), a_type(name="A")], NOW)

    assert await (await another_store()).types() == [a_type(name="A"), a_type(), a_type(name="b")]


async def test_the_newest_word_on_a_name_counts(store: Store) -> None:
    await store.publish_types([a_type(), a_type(name="OTHER")], NOW)
    changed = a_type(queue="fast", max_attempts=1, max_crashes=9, timeout_seconds=1.0, backoff=Backoff(), schema=b"{}")
    await store.publish_types([changed], NOW + timedelta(seconds=1))

    assert await store.types() == [a_type(name="OTHER"), changed]


async def test_nothing_to_publish_is_nothing(store: Store) -> None:
    await store.publish_types([], NOW)

    assert await store.types() == []


async def test_processes_that_publish_at_once_do_not_get_in_each_others_way(
    store: Store, another_store: AnotherStore
) -> None:
    other = await another_store()
    names = [f"T{n}" for n in range(50)]

    await asyncio.gather(
        *(store.publish_types([a_type(name=name) for name in names], NOW) for _ in range(5)),
        *(other.publish_types([a_type(name=name) for name in reversed(names)], NOW) for _ in range(5)),
    )

    assert len(await store.types()) == 50


async def test_what_nobody_repeats_is_forgotten_when_its_time_is_up(store: Store) -> None:
    await store.publish_types([a_type(), a_type(name="KEPT")], NOW)
    await store.publish_types([a_type(name="KEPT")], NOW + timedelta(days=1))

    await store.prune([], 100, NOW + TYPES_KEPT)
    assert [published.name for published in await store.types()] == ["KEPT", "PARCEL"]
    await store.prune([], 100, NOW + TYPES_KEPT + timedelta(microseconds=1))
    assert [published.name for published in await store.types()] == ["KEPT"]
