"""Carries out the plan, and writes down what it did."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.torture.fleet import LEASE_SECONDS, Fleet
from tests.torture.plan import Fault
from tests.torture.rungs import Busy, Rung
from tests.torture.stopping import Stop

_LEFT_OUT = "left out: nobody to spare"


class Nemesis:
    """One fault after the other; pauses go on beside the next ones."""

    def __init__(self, faults: Sequence[Fault], fleet: Fleet, rung: Rung, folder: Path) -> None:
        self._faults = faults
        self._fleet = fleet
        self._rung = rung
        self._log = (folder / "faults.txt").open("a")
        self._begin = 0.0
        self.done: Counter[str] = Counter()

    async def run(self, stop: Stop) -> None:
        """Return when all are done, or at the stop; everything is whole again then."""
        while not (self._fleet.opened.is_set or await stop.within(0.1)):
            pass
        self._begin = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for fault in self._faults:
                if await stop.until(self._begin + fault.at):
                    break
                tasks.create_task(self._do(fault, stop))
        self._log.close()

    async def _do(self, fault: Fault, stop: Stop) -> None:
        verb, _, whom = fault.kind.partition(" ")
        if whom in {"worker", "api"}:
            await self._hurt(fault, verb, whom, stop)
        elif verb == "suspend":
            slept = await self._fleet.suspend(LEASE_SECONDS * (1.2 + fault.chance), stop)
            self._say(fault, "over now" if slept else _LEFT_OUT)
        elif fault.kind in self._rung.faults:
            try:
                await self._rung.faults[fault.kind](fault.chance, stop)
            except Busy:
                self._say(fault, _LEFT_OUT)
            else:
                self._say(fault, "over now")
        else:
            raise ValueError(f"nobody knows how to {fault.kind}")

    async def _hurt(self, fault: Fault, verb: str, whom: str, stop: Stop) -> None:
        while self._fleet.goes_to_sleep and not await stop.within(0.1):
            pass
        members = self._fleet.of(whom)
        # One of each stays: a fleet that is all away shows less than one that has to carry on.
        if len(members) < 2:
            self._say(fault, _LEFT_OUT)
            return
        member = members[int(fault.chance * len(members))]
        self._say(fault, member.name)
        if verb == "kill":
            self._fleet.kill(member)
        elif verb == "pause":
            await self._fleet.pause(member, LEASE_SECONDS * (1.4 + 1.6 * fault.chance), stop)
        else:
            await self._fleet.pause(member, LEASE_SECONDS / 2, stop)

    def _say(self, fault: Fault, whom: str) -> None:
        if whom != _LEFT_OUT:
            self.done[fault.kind] += 1
        self._log.write(f"{time.monotonic() - self._begin:7.1f} s  planned {fault}  {whom}\n")
        self._log.flush()
