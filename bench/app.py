"""Treadle's job type in the contests: does nothing but mark its start. Loaded as ``TREADLE_APP=bench.app:app``."""

from __future__ import annotations

import msgspec

from bench.peers.contract import started
from treadle import Treadle

app = Treadle()


class Noop(msgspec.Struct, frozen=True):
    """The payload that every peer's job has."""

    n: int


@app.job("NOOP")
async def noop(payload: Noop) -> None:
    """Nothing."""
    started()
