"""``House``: a rung, a mail server and the fleet, up and running, and how it is brought to rest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture import evidence as records
from tests.torture.evidence import Evidence, Said
from tests.torture.fleet import Fleet
from tests.torture.http import NotAnswered, ask
from tests.torture.mailsink import MailSink, a_mail_sink
from tests.torture.orders import Orders
from tests.torture.rungs import RUNGS, Query, Rung
from tests.torture.stopping import Stop
from tests.torture.submitters import Submitters
from tests.torture.verdict import Verdict, judge

_START_SECONDS = 60.0


@dataclass
class House:
    """Everything a run needs, running."""

    folder: Path
    rung: Rung
    sink: MailSink
    fleet: Fleet
    concurrency: int
    said: Said = field(default_factory=Said)

    @property
    def output(self) -> Path:
        return self.folder / "output"

    async def gather(self, orders: Orders, submitters: Submitters, wrong: Sequence[str]) -> Evidence:
        """What everybody knows, while the APIs still answer."""
        query = self.rung.query
        jobs = await records.all_jobs(self.fleet.ports)
        with (self.folder / "jobs.jsonl").open("w") as file:
            file.writelines(json.dumps(job) + "\n" for job in jobs.values())
        with (self.folder / "hurts.txt").open("w") as file:
            file.writelines(f"{hurt}\n" for hurt in records.hurts_of(self.fleet))
        ledger, effects = records.own_records(self.folder)
        return Evidence(
            orders=orders,
            acked=submitters.acked,
            answered_twice=submitters.twice,
            doubtful=submitters.doubtful,
            jobs=jobs,
            ledger=ledger,
            effects=effects,
            mails=self.sink.mails,
            output=self.output,
            hurts=records.hurts_of(self.fleet),
            leases=await records.leases_of(query),
            concurrency=self.concurrency,
            snoozes=await records.snoozes_of(query),
            wrong=[*wrong, *self.fleet.deaths],
        )

    async def rest(self, evidence: Evidence) -> Verdict:
        """End the fleet in order, look at what is left, and judge."""
        wrong = await self.fleet.stop()
        evidence.illegal = await asyncio.to_thread(records.look_for_illegal, self.rung)
        self.said = records.read_logs(self.folder)
        evidence.released = self.said.released
        evidence.wrong = [*evidence.wrong, *wrong, *self.said.bugs]
        return judge(evidence)


@asynccontextmanager
async def a_house(rung_name: str, seed: int, folder: Path, concurrency: int, *, is_armed: bool) -> AsyncIterator[House]:
    """One on the named rung, its workers with so many slots each; all its processes end with it.

    ``is_armed``: with ambushes. Raises ``AssertionError`` where it does not start.
    """
    async with RUNGS[rung_name](folder) as rung, a_mail_sink(seed) as sink:
        mail = {"MAIL_HOST": "127.0.0.1", "MAIL_PORT": str(sink.port)}
        settings = {**mail, "TREADLE_CONCURRENCY": str(concurrency), **rung.settings}
        fleet = Fleet(folder, seed, settings, lambda pid: has_ended(rung.query, pid), is_armed)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fleet.keep_running())
                try:
                    await _all_answer(fleet)
                    yield House(folder, rung, sink, fleet, concurrency)
                finally:
                    fleet.over.set()
        finally:
            fleet.close()


def has_ended(query: Query, pid: int) -> bool:
    """Whether every lease of a process has ended."""
    try:
        rows = query(f"SELECT ended_at FROM workers WHERE pid = {pid}")
    except OSError:
        return False
    return all(ended_at is not None for (ended_at,) in rows)


async def _all_answer(fleet: Fleet) -> None:
    """Every API is up, and every worker has begun its lease."""
    stop = Stop()
    deadline = time.monotonic() + _START_SECONDS
    workers = sum(name.startswith("worker") for name in fleet.members)
    for port in fleet.ports:
        while time.monotonic() < deadline:
            with contextlib.suppress(NotAnswered):
                answer = await ask(port, "GET", "/admin/workers")
                if answer.status == 200 and len(answer.json["workers"]) >= workers:
                    break
            await stop.within(0.1)
        else:
            raise AssertionError(f"the API on port {port} does not answer, or not all workers began; see the logs")
