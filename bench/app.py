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


class Load(msgspec.Struct, frozen=True):
    """A payload of a size."""

    text: str


@app.job("CARRY")
async def carry(payload: Load) -> None:
    """Nothing either: what is dear is what was carried here."""
    started()
