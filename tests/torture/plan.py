"""The plan of faults: what is done when, all of it from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

FLEET: Mapping[str, int] = {
    "kill worker": 6,
    "pause worker": 3,
    "doze worker": 2,
    "kill api": 2,
    "pause api": 1,
    "doze api": 1,
    "suspend all": 1,
}
"""Kinds and how often each comes in one deck. A pause outlasts a lease. Of a doze, half of one, nothing may
come, and nothing of a machine that sleeps as a whole, however long."""


@dataclass(frozen=True)
class Fault:
    """``at``: seconds from the beginning. ``chance``: 0 to 1, for whatever its kind leaves open (whom, how long)."""

    at: float
    kind: str
    chance: float

    def __str__(self) -> str:
        return f"{self.at:7.1f} s  {self.kind} ({self.chance:.3f})"


def plan(seed: int, kinds: Mapping[str, int], *, seconds: float, every_seconds: float) -> list[Fault]:
    """Faults over ``seconds``, one ``every_seconds`` or so. Kinds come from a shuffled
    deck: none is forgotten for long, and where there is room for as many faults as kinds, each comes.
    """
    chance = random.Random(f"{seed} plan")
    rare: list[str] = list(kinds)
    chance.shuffle(rare)
    deck = rare[::-1]
    faults: list[Fault] = []
    at = every_seconds * chance.uniform(0.5, 1.5)
    while at < seconds:
        if not deck:
            deck = [kind for kind, count in kinds.items() for _ in range(count)]
            chance.shuffle(deck)
        faults.append(Fault(round(at, 2), deck.pop(), round(chance.random(), 3)))
        at += every_seconds * chance.uniform(0.5, 1.5)
    return faults
