"""One loop and one error policy for every duty."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from treadle.errors import Unavailable
from treadle.telemetry.meters import Counter

logger = logging.getLogger("treadle.duties")


async def repeat(name: str, once: Callable[[], Awaitable[float]], chance: random.Random, errors: Counter) -> None:
    """Call ``once`` for ever; it returns the seconds until the next call, which jitter shortens by up to a fifth.

    An outage of the store is waited out; a bug is logged and does not end the duty. ``errors`` counts both.
    """
    while True:
        try:
            pause_seconds = await once()
        except Unavailable as error:
            logger.warning("%s", error, extra={"duty": name})
            errors.add(1, name, "outage")
            pause_seconds = 1.0
        except Exception:
            logger.exception("a duty failed", extra={"duty": name})
            errors.add(1, name, "bug")
            pause_seconds = 5.0
        await asyncio.sleep(pause_seconds * chance.uniform(0.8, 1.0))
