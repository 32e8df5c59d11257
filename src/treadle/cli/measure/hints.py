"""The Redis of an installation, as far as a measurement is concerned."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis import RedisError
from redis.asyncio import Redis

from treadle.clock import rising_seconds
from treadle.dispatch.address import Address
from treadle.dispatch.lines import line_name
from treadle.errors import SettingsError
from treadle.queue import Priority
from treadle.store.engine import ROUND_TRIPS

PATIENCE_SECONDS = 5.0

Answer = TypeVar("Answer")


async def read_redis(url: str) -> tuple[str, float | None]:
    """Name with version, and the round trip in ms. One that does not answer is told in words: nothing needs it.

    Raises ``SettingsError`` for what is no address.
    """

    async def ask(client: Redis) -> tuple[str, float]:
        said: dict[str, Any] = await client.info("server")
        taken: list[float] = []
        for _ in range(ROUND_TRIPS):
            begun_at = rising_seconds()
            await client.ping()
            taken.append((rising_seconds() - begun_at) * 1000)
        name = f"Valkey {said['valkey_version']}" if "valkey_version" in said else f"Redis {said['redis_version']}"
        return name, statistics.median(taken)

    return await _asked(url, ask) or ("named, and does not answer: workers look for jobs themselves", None)


async def forget_lines(url: str, prefix: str, queue_names: Sequence[str]) -> None:
    """Remove the lists of hints under ``prefix``."""
    names = [prefix + line_name(queue, priority) for queue in queue_names for priority in Priority]

    async def ask(client: Redis) -> bool:
        await client.unlink(*names)
        return True

    if names:
        await _asked(url, ask)


async def _asked(url: str, ask: Callable[[Redis], Awaitable[Answer]]) -> Answer | None:
    try:
        pool: Any = Address(url).new_pool()  # its interface says less than redis-py's own client wants
    except ValueError as error:
        raise SettingsError([f"REDIS_URL {error}"]) from None
    client = Redis(connection_pool=pool)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await ask(client)
    except (RedisError, OSError, TimeoutError):
        return None
    finally:
        await client.aclose()
        await pool.disconnect()
