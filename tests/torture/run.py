"""One whole run: everything started, everything tormented, everything judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.torture.evidence import Evidence
from tests.torture.fleet import LEASE_SECONDS
from tests.torture.house import House, a_house
from tests.torture.nemesis import Nemesis
from tests.torture.observer import Observer, Say
from tests.torture.orders import Orders
from tests.torture.plan import FLEET, plan
from tests.torture.stopping import Stop
from tests.torture.submitters import Submitters
from tests.torture.verdict import Verdict

_OVERTURE_SECONDS = 3 * LEASE_SECONDS
"""About as long as the first two ambushes take, before which nothing else is done."""

_LATE_SECONDS = 60.0
"""Without one more acknowledgement, after the last was due: then somebody is never answered."""


@dataclass(frozen=True)
class Options:
    """``seconds``: over which jobs are submitted and faults done; ``every_seconds``: between two faults, about.

    ``concurrency``: slots of each of the four workers. Few enough that there is a backlog whenever some of them are
    away: a paused worker that wakes among idle neighbours finds nothing to do wrong.
    """

    rung: str
    jobs: int
    seed: int
    seconds: float
    every_seconds: float
    concurrency: int
    folder: Path


@dataclass
class Report:
    """What a run is summed up with."""

    verdict: Verdict
    faults: Mapping[str, int]
    answers: Mapping[str, int]
    mail: Mapping[str, int]
    said: Mapping[str, int]
    seconds: float

    @property
    def rare(self) -> list[str]:
        """What a run that is worth its time must have met, and this one did not."""
        wanted = {
            "no kill or pause met a running job": self.verdict.numbers["crashes on record"],
            "no mail was cut after its dot": self.verdict.numbers["mails cut after the dot"],
            "nobody was answered for a request that was sent again": self.answers.get("200", 0),
        }
        return [what for what, count in wanted.items() if count == 0]

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept, and put to the test."""
        return self.verdict.is_good and not self.rare


async def torture(options: Options, say: Say) -> Report:
    """Run and judge. Raises ``AssertionError`` where the run itself cannot be carried out."""
    begin = time.monotonic()
    async with a_house(options.rung, options.seed, options.folder, options.concurrency, is_armed=True) as house:
        run = _Run(options, house, say)
        verdict = await house.rest(await run.carry_out())
        said = {**house.said.counts, "starts that met no store": house.fleet.starts_without_store}
        seconds = round(time.monotonic() - begin, 1)
        return Report(
            verdict, run.nemesis.done + house.fleet.met, run.submitters.answers, house.sink.deeds, said, seconds
        )


class _Run:
    """What happens between the first start and the last look."""

    def __init__(self, options: Options, house: House, say: Say) -> None:
        kinds = {**FLEET, **house.rung.kinds}
        faults = plan(
            options.seed,
            kinds,
            seconds=options.seconds - _OVERTURE_SECONDS,
            every_seconds=options.every_seconds,
        )
        (options.folder / "plan.txt").write_text("".join(f"{fault}\n" for fault in faults))
        self._stop = Stop()
        self._house = house
        self._seconds = options.seconds
        self._orders = Orders(options.seed, options.jobs)
        self.submitters = Submitters(self._orders, house.fleet.ports, self._stop, options.folder, options.seconds)
        self.nemesis = Nemesis(faults, house.fleet, house.rung, options.folder)
        self._observer = Observer(self._orders, house.output, house.rung.query, say)
        self._say = say

    async def carry_out(self) -> Evidence:
        """Submit under faults, let it come to rest, gather what everybody knows."""
        wrong: list[str] = []
        watched = Stop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._observer.watch(self.submitters, self.nemesis, self._house.sink, watched))
            if not await self._submit_under_faults():
                wrong.append("some submissions were never answered")
            self._say("all submitted, all faults over; waiting until it is quiet")
            if not await self._observer.calm(watched):
                wrong.append("it never became quiet")
            watched.set()
        return await self._house.gather(self._orders, self.submitters, [*wrong, *self._observer.torn])

    async def _submit_under_faults(self) -> bool:
        """Whether all was acknowledged, however slowly; everything is whole again afterwards."""
        due = time.monotonic() + self._seconds
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(self.submitters.run()), tasks.create_task(self.nemesis.run(self._stop))]
            while (await asyncio.wait(work, timeout=1.0))[1]:
                if time.monotonic() - max(self.submitters.acked_at, due) > _LATE_SECONDS:
                    self._stop.set()
        return not self._stop.is_set
