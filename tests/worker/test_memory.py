"""What a worker lets go of: a payload may be megabytes, and there are as many of them as slots."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from tests.waiting import eventually
from tests.worker.house import open_house
from treadle.jobtype import Registry
from treadle.states import Status
from treadle.worker.attempt import Attempt

Payload = dict[str, Any]


async def run_async(payload: Payload) -> None:
    """A handler on the handlers' loop."""


def run_blocking(payload: Payload) -> None:
    """A handler in a thread."""


async def fail(payload: Payload) -> None:
    """A handler whose error has a traceback, and that its frames."""
    raise RuntimeError("no")


@pytest.mark.parametrize("handler", [run_async, run_blocking, fail])
async def test_an_idle_worker_keeps_no_attempt_and_so_no_payload(
    registry: Registry, handler: Callable[..., Any]
) -> None:
    registry.job("RUN")(handler)
    async with open_house(registry) as house:
        ids = await house.submit_many("RUN", 6, max_attempts=1)
        for job_id in ids:
            await house.until(job_id, Status.COMPLETED, Status.FAILED)

        def kept() -> int:
            # No collection before: what only the collector frees may stay for as long as it likes.
            return sum(isinstance(found, Attempt) and found.id in ids for found in gc.get_objects())

        await eventually(lambda: kept() == 0)
