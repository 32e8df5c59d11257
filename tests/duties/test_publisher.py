"""The publisher: a type whose process is there is not taken for removed."""

from __future__ import annotations

from tests.duties.conftest import Ground
from treadle.duties.publisher import Publisher
from treadle.store.protocol import TYPES_KEPT


async def test_a_type_stays_while_its_process_is_there_and_goes_when_it_is_not(ground: Ground) -> None:
    publisher = Publisher(ground.runtime)
    before = await ground.real_store.types()
    assert before

    for _ in range(200):
        ground.clock.advance(await publisher.publish_once())
        await ground.real_store.prune([], 100, ground.clock.now())
    assert [told.name for told in await ground.real_store.types()] == [told.name for told in before]

    ground.clock.advance(TYPES_KEPT.total_seconds())
    await ground.real_store.prune([], 100, ground.clock.now())
    assert await ground.real_store.types() == []
