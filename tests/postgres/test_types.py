"""Publishing what stands there already leaves the row as it is, down to its locks."""

from __future__ import annotations

from datetime import timedelta

from tests.builders import NOW, a_type
from tests.postgres.conftest import Beside
from treadle.store.postgres.store import PostgresStore
from treadle.store.protocol import TYPE_REFRESH

ROW = "SELECT ctid::text, xmin::text, xmax::text FROM job_types"


async def test_what_stands_there_is_not_even_locked(store: PostgresStore, beside: Beside) -> None:
    connection = await beside()
    await store.publish_types([a_type()], NOW)
    before = await connection.fetch(ROW)

    await store.publish_types([a_type(published_at=NOW + timedelta(seconds=1))], NOW)
    await store.publish_types([a_type(queue="older", published_at=NOW - timedelta(seconds=1))], NOW)
    assert await connection.fetch(ROW) == before

    await store.publish_types([a_type()], NOW + TYPE_REFRESH)
    assert await connection.fetch(ROW) != before
