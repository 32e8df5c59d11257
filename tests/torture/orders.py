"""What is submitted, all of it from a seed: each job by its number, and what must come out of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TYPES = ("CSV_EXPORT", "EMAIL_SEND", "STEPS")

_LONG_EXPORT = 0.03
_LONG_ROWS = 3000
"""Some tenths of a second of work, so that a kill lands within a half-written file now and then."""

_LONG_HANDLERS = 0.08
"""Of the user's type. They outlast a lease: when a paused worker wakes, its job is in another one's hands."""

_TEXTS = ("plain", 'with "quotes"', "a, comma", "two\nlines", "Zoë in Zürich", "", "x" * 200)
_RETRIES = 25
"""As many as the API lets one ask for: cuts and refusals shall delay mail, and never fail it."""


@dataclass(frozen=True)
class Order:
    """One job as it is submitted."""

    number: int
    type: str
    payload: Mapping[str, Any]
    priority: str

    @property
    def body(self) -> dict[str, Any]:
        return {"type": self.type, "priority": self.priority, "payload": self.payload, "maxAttempts": _RETRIES}


@dataclass(frozen=True)
class Unit:
    """One request: a job, or a batch of them. ``key``: with an idempotency key."""

    first: int
    count: int
    key: str | None


class Orders:
    """Every order of a run. The same seed and number make the same order."""

    def __init__(self, seed: int, count: int) -> None:
        self.seed = seed
        self.count = count

    def order(self, number: int) -> Order:
        chance = self._chance(number)
        kind = TYPES[number % len(TYPES)]
        priority = "high" if chance.random() < 0.2 else "default"
        payload = {"CSV_EXPORT": self._export, "EMAIL_SEND": self._mail, "STEPS": self._steps}[kind](number, chance)
        return Order(number, kind, payload, priority)

    def units(self) -> Iterator[Unit]:
        """All requests, in the order they are sent."""
        chance = random.Random(f"{self.seed} units")
        first = 0
        while first < self.count:
            count = min(chance.randint(10, 40), self.count - first) if chance.random() < 0.02 else 1
            key = f"torture-{self.seed}-{first}" if chance.random() < 0.6 else None
            yield Unit(first, count, key)
            first += count

    def recipients(self, number: int) -> list[str]:
        """Of an ``EMAIL_SEND``. They carry the number, by which the mail server decides what it does to them."""
        return [f"n{number}.{which}@example.com" for which in range(1 if number % 10 else 3)]

    def csv(self, number: int) -> bytes:
        """The file that a ``CSV_EXPORT`` must make, written by other code than the one under test."""
        rows = self.order(number).payload["data"]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines = [",".join(columns), *(",".join(_cell(row.get(name)) for name in columns) for row in rows)]
        return "".join(f"{line}\r\n" for line in lines).encode()

    def _chance(self, number: int) -> random.Random:
        return random.Random(f"{self.seed} order {number}")

    def _export(self, number: int, chance: random.Random) -> dict[str, Any]:
        count = _LONG_ROWS if chance.random() < _LONG_EXPORT else chance.randint(1, 12)
        data = []
        for line in range(count):
            row: dict[str, Any] = {"number": number, "line": line, "text": chance.choice(_TEXTS)}
            if line % 3 == 2:
                row |= {"extra": chance.choice([None, True, -5, "=1+1"])}
            data.append(row)
        return {"data": data}

    def _mail(self, number: int, chance: random.Random) -> dict[str, Any]:
        to = self.recipients(number)
        return {"to": to if len(to) > 1 else to[0], "subject": f"Order {number}", "body": chance.choice(_TEXTS) or "-"}

    def _steps(self, number: int, chance: random.Random) -> dict[str, Any]:
        steps = chance.choice([1, 1, 1, 3])
        seconds = chance.uniform(3, 9) if chance.random() < _LONG_HANDLERS else chance.uniform(0.1, 1.6)
        fail_on = [1] if chance.random() < 0.03 else []
        return {
            "number": number,
            "steps": steps,
            "seconds": round(seconds, 3),
            "failOn": fail_on,
        }


def number_in(recipient: str) -> int:
    """The order that a recipient's address names."""
    return int(recipient.partition(".")[0].removeprefix("n"))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "'=1+1" if value == "=1+1" else str(value)
    if any(character in text for character in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
