"""The database is away for three leases, with long handlers in everybody's hands: none of them is started twice."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.torture.fleet import LEASE_SECONDS, WORKERS
from tests.torture.house import House, a_house
from tests.torture.ledger import read_lines
from tests.torture.observer import Observer, Say
from tests.torture.orders import Order, Orders
from tests.torture.stopping import Stop
from tests.torture.submitters import Submitters
from tests.torture.verdict import Verdict

AWAY_SECONDS = 3 * LEASE_SECONDS
_CONCURRENCY = 8
_START_SECONDS = 60.0


class LongOrders(Orders):
    """A job for every slot of the fleet. Some end before the database is back, and wait with their outcomes; some save
    a step meanwhile, and wait with that; some run on until long after it.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed, WORKERS * _CONCURRENCY)

    def order(self, number: int) -> Order:
        chance = random.Random(f"{self.seed} long {number}")
        seconds = LEASE_SECONDS * (2 + 2.5 * number / self.count)
        payload = {"number": number, "steps": chance.choice([1, 4]), "seconds": round(seconds, 2)}
        return Order(number, "STEPS", payload, "default")


async def outage(rung: str, seed: int, folder: Path, say: Say) -> Verdict:
    """Run and judge. Raises ``AssertionError`` where not all handlers were running when it began."""
    orders = LongOrders(seed)
    stop = Stop()
    async with a_house(rung, seed, folder, _CONCURRENCY, is_armed=False) as house:
        submitters = Submitters(orders, house.fleet.ports, stop, folder, 0.0)
        await submitters.run()
        await _all_started(house, orders.count, stop)
        say(f"{orders.count} handlers run; the database goes away for {AWAY_SECONDS:g} s")
        await house.rung.take_away(AWAY_SECONDS, stop)
        say("it is back")
        observer = Observer(orders, house.output, house.rung.query, say)
        wrong = [] if await observer.calm(stop) else ["it never became quiet"]
        evidence = await house.gather(orders, submitters, wrong)
        verdict = await house.rest(evidence)
        again = [line for line in evidence.ledger if line.phase == "start" and line.attempt > 1]
        verdict.violations["no handler is started twice"] = [f"{line.job_id}, attempt {line.attempt}" for line in again]
        return verdict


async def _all_started(house: House, count: int, stop: Stop) -> None:
    def started() -> int:
        return sum(line.phase == "start" for line in read_lines(house.folder / "ledger.txt"))

    for _ in range(int(_START_SECONDS / 0.1)):
        if await asyncio.to_thread(started) == count:
            return
        await stop.within(0.1)
    raise AssertionError(f"only {started()} of {count} handlers were started")
