"""Those who submit: they try again until they are answered, and write down what they were promised."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.torture.http import Answer, NotAnswered, ask
from tests.torture.orders import Orders, Unit
from tests.torture.stopping import Stop

_AT_ONCE = 32
_WALKS_AWAY = 0.03
"""Of the requests with a key: sent and left, to be sent again. The key must make one job of the two."""


class Refused(AssertionError):
    """An API answered what it must never answer to this."""


class Submitters:
    """Send every order once over ``seconds``; each unit goes to whichever API answers."""

    def __init__(self, orders: Orders, ports: Sequence[int], stop: Stop, folder: Path, seconds: float) -> None:
        self._orders = orders
        self._ports = ports
        self._stop = stop
        self._seconds = seconds
        self._chance = random.Random(f"{orders.seed} submitters")
        self._file = (folder / "acknowledged.txt").open("a")
        self.acked: dict[str, int] = {}
        """Order numbers by the id that was answered for them."""
        self.twice: list[str] = []
        """Ids that were answered for two orders."""
        self.doubtful: Counter[int] = Counter()
        """Orders in requests without a key that may have been stored although no answer came, and how often: such a
        request was sent again, so a job may be there more than once, and only one of them was ever promised."""
        self.answers: Counter[str] = Counter()
        self.acked_at = time.monotonic()
        """When the last of them was acknowledged."""

    async def run(self) -> None:
        """Return when all are acknowledged, or at the stop."""
        begin = time.monotonic()
        free = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for unit in self._orders.units():
                if await self._stop.until(begin + self._seconds * unit.first / self._orders.count):
                    break
                await free.acquire()
                task = tasks.create_task(self._submit(unit))
                task.add_done_callback(lambda _: free.release())
        self._file.close()

    async def _submit(self, unit: Unit) -> None:
        numbers = range(unit.first, unit.first + unit.count)
        bodies = [self._orders.order(number).body for number in numbers]
        path, body = ("/jobs", bodies[0]) if unit.count == 1 else ("/jobs/batch", {"jobs": bodies})
        headers = {} if unit.key is None else {"Idempotency-Key": unit.key}
        while not self._stop.is_set:
            walk_away = unit.key is not None and self._chance.random() < _WALKS_AWAY
            port = self._chance.choice(self._ports)
            try:
                answer = await ask(port, "POST", path, body, headers=headers, walk_away=walk_away)
            except NotAnswered as error:
                self.answers["walked away" if walk_away else "no answer"] += 1
                if error.was_sent and unit.key is None:
                    self.doubtful.update(numbers)
            else:
                if self._is_done(unit, answer):
                    return
            await self._stop.within(self._chance.uniform(0.05, 0.4))

    def _is_done(self, unit: Unit, answer: Answer) -> bool:
        self.answers[str(answer.status)] += 1
        if answer.status == 201 or (answer.status == 200 and unit.key is not None):
            ids = [answer.json["jobId"]] if unit.count == 1 else answer.json["jobIds"]
            for number, job_id in enumerate(ids, unit.first):
                if self.acked.setdefault(job_id, number) != number:
                    self.twice.append(job_id)
                self._file.write(f"{job_id} {number}\n")
            self._file.flush()
            self.acked_at = time.monotonic()
            return True
        if answer.status not in {409, 503} or (answer.status == 409 and unit.key is None):
            raise Refused(f"order {unit.first}: {answer.status} {answer.body[:300]!r}")
        if answer.status == 503 and unit.key is None and b"may have been done" in answer.body:
            self.doubtful.update(range(unit.first, unit.first + unit.count))
        return False
