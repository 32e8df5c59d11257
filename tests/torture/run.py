"""One whole run: everything started, everything tormented, everything judged."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.torture import evidence as records
from tests.torture.evidence import Evidence
from tests.torture.fleet import Fleet
from tests.torture.http import NotAnswered, ask
from tests.torture.mailsink import MailSink, a_mail_sink
from tests.torture.nemesis import Nemesis
from tests.torture.observer import Observer, Say
from tests.torture.orders import Orders
from tests.torture.plan import FLEET, plan
from tests.torture.rungs import RUNGS, Rung
from tests.torture.stopping import Stop
from tests.torture.submitters import Submitters
from tests.torture.verdict import Verdict, judge

_START_SECONDS = 60.0
_LATE_SECONDS = 120.0
"""For submissions, after the last was due and the last fault is over: then somebody is never answered."""


@dataclass(frozen=True)
class Options:
    """``seconds``: over which jobs are submitted and faults done; ``every_seconds``: between two faults, about."""

    rung: str
    jobs: int
    seed: int
    seconds: float
    every_seconds: float
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


async def torture(options: Options, say: Say) -> Report:
    """Run and judge. Raises ``AssertionError`` where the run itself cannot be carried out."""
    orders = Orders(options.seed, options.jobs)
    begin = time.monotonic()
    async with RUNGS[options.rung](options.folder) as rung, a_mail_sink(options.seed) as sink:
        settings = {"MAIL_HOST": "127.0.0.1", "MAIL_PORT": str(sink.port), **rung.settings}
        fleet = Fleet(options.folder, settings)
        over = Stop()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fleet.keep_running(over))
                try:
                    await _all_answer(fleet)
                    run = _Run(options, orders, rung, sink, fleet, say)
                    evidence = await run.carry_out()
                finally:
                    over.set()
            wrong = await asyncio.to_thread(fleet.stop)
        finally:
            fleet.close()
        evidence.illegal = await asyncio.to_thread(records.look_for_illegal, rung.query)
        said = records.read_logs(options.folder)
        evidence.released = said.released
        evidence.wrong = [*evidence.wrong, *wrong, *said.bugs]
        verdict = judge(evidence)
        told = {**said.counts, "starts that met no store": fleet.store_left_out}
        return Report(
            verdict, run.nemesis.done, run.submitters.answers, sink.deeds, told, round(time.monotonic() - begin, 1)
        )


class _Run:
    """What happens between the first start and the last look."""

    def __init__(self, options: Options, orders: Orders, rung: Rung, sink: MailSink, fleet: Fleet, say: Say) -> None:
        kinds = {**FLEET, **rung.kinds}
        faults = plan(options.seed, kinds, seconds=options.seconds, every_seconds=options.every_seconds)
        (options.folder / "plan.txt").write_text("".join(f"{fault}\n" for fault in faults))
        self._stop = Stop()
        self._rung, self._sink, self._fleet, self._orders = rung, sink, fleet, orders
        self._output = options.folder / "output"
        self._folder = options.folder
        self._seconds = options.seconds
        self.submitters = Submitters(orders, fleet.ports, self._stop, options.folder, options.seconds)
        self.nemesis = Nemesis(faults, fleet, rung, options.folder)
        self._observer = Observer(orders, self._output, rung.query, say)
        self._say = say

    async def carry_out(self) -> Evidence:
        """Submit under faults, let it come to rest, gather what everybody knows."""
        wrong: list[str] = []
        watched = Stop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._observer.watch(self.submitters, self.nemesis, self._sink, watched), name="observer")
            try:
                async with asyncio.timeout(self._seconds + _LATE_SECONDS), asyncio.TaskGroup() as trying:
                    trying.create_task(self.submitters.run())
                    trying.create_task(self.nemesis.run(self._stop))
            except TimeoutError:
                wrong.append("some submissions were never answered")
            self._say("all submitted, all faults over; waiting until it is quiet")
            if not await self._observer.calm(self._stop):
                wrong.append("it never became quiet")
            watched.set()
        return await self._gather(wrong)

    async def _gather(self, wrong: list[str]) -> Evidence:
        query = self._rung.query
        ledger, effects = records.own_records(self._folder)
        return Evidence(
            orders=self._orders,
            acked=self.submitters.acked,
            answered_twice=self.submitters.twice,
            doubtful=self.submitters.doubtful,
            jobs=await records.all_jobs(self._fleet.ports[0]),
            ledger=ledger,
            effects=effects,
            mails=self._sink.mails,
            output=self._output,
            hurts=records.hurts_of(self._fleet),
            leases=await records.leases_of(query),
            snoozes=await records.snoozes_of(query),
            wrong=[*wrong, *self._observer.torn, *self._fleet.deaths],
        )


async def _all_answer(fleet: Fleet) -> None:
    """Every API is up, and every worker has begun its lease."""
    stop = Stop()
    deadline = time.monotonic() + _START_SECONDS
    workers = sum(name.startswith("worker") for name in fleet.members)
    for port in fleet.ports:
        while time.monotonic() < deadline:
            with contextlib.suppress(NotAnswered):
                answer = await ask(port, "GET", "/admin/workers")
                if answer.status == 200 and len(answer.json["workers"]) == workers:
                    break
            await stop.within(0.1)
        else:
            raise AssertionError(f"the API on port {port} does not answer, or not all workers began; see the logs")
