"""What another process committed is not forgotten because a hint of our own came at the same moment."""

from __future__ import annotations

import asyncio

from tests.waiting import eventually
from treadle.dispatch.local import LocalDispatch
from treadle.ids import new_job_id
from treadle.queue import Priority


async def test_a_wake_up_from_outside_outlives_a_take_that_brought_ids() -> None:
    dispatch = LocalDispatch()
    mine = new_job_id()
    taking = asyncio.create_task(dispatch.take(None, 1, 60.0))
    await eventually(lambda: bool(dispatch._takers))

    dispatch.announce("default", Priority.DEFAULT, [mine])
    dispatch._poked = True  # as the listener does, in the same moment
    assert await taking == [mine]

    looked = asyncio.create_task(dispatch.take(None, 1, 60.0))
    done, _ = await asyncio.wait((looked,), timeout=5)

    assert done, "the take that follows must come back at once, so that the worker scans"
    assert looked.result() == []
    await dispatch.aclose()
