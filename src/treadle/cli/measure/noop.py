"""The job type of ``treadle bench``: does nothing. Loaded as ``TREADLE_APP=treadle.cli.measure.noop:app``."""

from __future__ import annotations

import msgspec

from treadle.app import Treadle
from treadle.clock import rising_seconds

QUEUE = "bench"
"""Its queue: nobody else's jobs are in there while it is measured."""
TYPE = "treadle.bench"
"""No other process has its code, so no other worker claims such a job."""

app = Treadle()


class Noop(msgspec.Struct, frozen=True):
    """``tells``: whether the moment of its start is wanted."""

    tells: bool = False


@app.job(TYPE, queue=QUEUE)
async def noop(payload: Noop) -> dict[str, float] | None:
    """Nothing; the result is the handler's start on the clock that all processes of this machine share."""
    return {"startedAt": rising_seconds()} if payload.tells else None
