"""``Scene``: who takes part in a run, on which servers, and how much is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from bench.peer import Peer
from bench.sample import Sample
from bench.servers import Servers
from bench.side import About
from bench.treadle_side import TreadleSide
from bench.verdict import Verdict


class Effort(msgspec.Struct, frozen=True):
    """How much a run does. A quick one shows that all works, and the order of things; a full one is for figures."""

    rounds: int
    jobs: int
    """To drain. Fewer than ten thousand are gone before their rate means anything."""
    slow_jobs: int
    """For those who need minutes for them."""
    one_jobs: int
    """Submitted one by one by a peer, each way."""
    one_seconds: float
    """For which Treadle is sent jobs one by one."""
    bulk_jobs: int
    pings: int
    history_rows: int
    memory_jobs: int
    mails: int
    csv_jobs: int


FULL = Effort(
    rounds=3, jobs=100_000, slow_jobs=20_000, one_jobs=10_000, one_seconds=10, bulk_jobs=200_000, pings=200,
    history_rows=10_000_000, memory_jobs=1_000_000, mails=10_000, csv_jobs=20,
)  # fmt: skip
QUICK = Effort(
    rounds=1, jobs=20_000, slow_jobs=10_000, one_jobs=1_000, one_seconds=2, bulk_jobs=30_000, pings=30,
    history_rows=1_000_000, memory_jobs=50_000, mails=1_000, csv_jobs=4,
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """What contests are held with."""

    servers: Servers
    treadle: TreadleSide
    peers: Mapping[str, Peer]
    abouts: Mapping[str, About]
    """Of the peers that are there."""
    effort: Effort


@dataclass(frozen=True)
class Step:
    """One sample to be taken."""

    pair: str
    side: str
    take: Callable[[], dict[str, float]]


class Contest(Protocol):
    """One of the six comparisons."""

    @property
    def name(self) -> str:
        """As for ``--only``."""

    @property
    def title(self) -> str:
        """Of its part of the table."""

    def steps(self, scene: Scene) -> Sequence[Step]:
        """Of one round, in the order in which they are taken."""

    def verdicts(self, samples: Sequence[Sample], abouts: Mapping[str, About]) -> list[Verdict]:
        """From this contest's samples."""
