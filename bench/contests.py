"""The contests with peers, as data: who takes part, which figure counts, where the bar is (``figures`` 1 to 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.peer import Peer
from bench.sample import Sample
from bench.scene import Contest, Scene, Step
from bench.side import About
from bench.treadle_side import DRAIN_SLOTS
from bench.verdict import TREADLE, Bar, Better, Verdict, figures, median_of, ratios

SLOW = frozenset({"celery", "chancy", "dramatiq", "procrastinate", "rq", "saq"})
"""Peers that drain some two thousand jobs a second or fewer: they are given fewer, and so is Treadle beside them."""

QUICK_PEERS = ("graphile_worker", "bullmq", "pgqueuer", "awa", "taskiq", "huey")
"""Those with a bar of their own, and the fastest Redis-based Python queues: enough for a quick run."""

Take = Callable[[Scene], dict[str, float]]
TakePeer = Callable[[Scene, Peer], dict[str, float]]


@dataclass(frozen=True)
class Pairing:
    """Treadle, peer, Treadle, next peer, …: every peer stands beside a sample of Treadle of its own."""

    name: str
    title: str
    figure: str
    unit: str
    needs: frozenset[str]
    """Ways to submit, one of which a peer must have; empty: every peer takes part."""
    bar: Callable[[str, About], Bar | None]
    take_treadle: TakePeer
    """Handed the peer, so that it gets as many jobs."""
    take_peer: TakePeer
    alone: Sequence[tuple[str, Take]] = ()
    """What only Treadle does, by name, for orientation; measured once a round, after the pairs."""
    own_bars: Sequence[tuple[str, str, Bar]] = ()
    """Figures of Treadle alone: which value, its unit, where the bar is."""

    def steps(self, scene: Scene) -> list[Step]:
        """See ``Contest``."""
        found = []
        for name, peer in scene.peers.items():
            if not self.needs or self.needs & set(scene.abouts[name].submits):
                found.append(Step(name, TREADLE, partial(self.take_treadle, scene, peer)))
                found.append(Step(name, name, partial(self.take_peer, scene, peer)))
        found += [Step(what, TREADLE, partial(take, scene)) for what, take in self.alone]
        return found

    def verdicts(self, samples: Sequence[Sample], abouts: Mapping[str, About]) -> list[Verdict]:
        """See ``Contest``."""
        found = []
        for pair in dict.fromkeys(sample.pair for sample in samples if sample.pair in abouts):
            errors = [sample.error for sample in samples if sample.pair == pair and sample.error]
            found.append(
                Verdict(
                    self.name,
                    pair,
                    "×",
                    ratios(samples, self.figure, pair, TREADLE, pair),
                    self.bar(pair, abouts[pair]),
                    median_of(figures(samples, self.figure, pair, TREADLE)),
                    median_of(figures(samples, self.figure, pair, pair)),
                    self.unit,
                    errors[0] if errors else "",
                )
            )
        for what, _ in self.alone:
            values = figures(samples, self.figure, what, TREADLE)
            found.append(Verdict(self.name, f"Treadle, {what}", self.unit, values))
        for value, unit, bar in self.own_bars:
            values = [s.values[value] for s in samples if s.side == TREADLE and value in s.values]
            found.append(Verdict(self.name, f"Treadle's {value}", unit, values, bar))
        return found


# --------------------------------------------------------------------------------------------------- drain

_DRAIN_BARS = {"graphile_worker": 1.0, "bullmq": 1.7, "pgqueuer": 1.7, "awa": 4.0}
_PYTHON_ON_REDIS = 8.0


def _drain_bar(name: str, about: About) -> Bar | None:
    if name in _DRAIN_BARS:
        return Bar(_DRAIN_BARS[name])
    return Bar(_PYTHON_ON_REDIS) if (about.language, about.store) == ("Python", "Redis") else None


def _jobs(scene: Scene, peer: Peer) -> int:
    return scene.effort.slow_jobs if peer.name in SLOW else scene.effort.jobs


def _drain_treadle(scene: Scene, peer: Peer) -> dict[str, float]:
    with scene.servers.ground() as ground:
        return scene.treadle.drain(ground, _jobs(scene, peer), slots=DRAIN_SLOTS)


def _drain_peer(scene: Scene, peer: Peer) -> dict[str, float]:
    with scene.servers.ground() as ground:
        return peer.drain(ground, _jobs(scene, peer))


# ----------------------------------------------------------------------------------------------------- one


_MANY = 256
"""Connections, beside the 64 that count."""


def _one_bar(name: str, about: About) -> Bar | None:
    if name == "bullmq":
        return Bar(1.0)
    return Bar(8.0) if about.store == "PostgreSQL" else None


def _one_treadle(scene: Scene, peer: Peer) -> dict[str, float]:
    with scene.servers.ground() as ground:
        return scene.treadle.submit_for(ground, scene.effort.one_seconds)


def _one_many(scene: Scene) -> dict[str, float]:
    with scene.servers.ground() as ground:
        return scene.treadle.submit_for(ground, scene.effort.one_seconds, _MANY)


def _one_peer(scene: Scene, peer: Peer) -> dict[str, float]:
    """The better of the two ways: each awaited before the next, and 100 in flight."""
    found: dict[str, float] = {}
    for how in ("one", "in_flight"):
        if how in scene.abouts[peer.name].submits:
            with scene.servers.ground() as ground:
                found[f"{how}_jobs_per_second"] = peer.submit(ground, how, scene.effort.one_jobs)["jobs_per_second"]
    return {"jobs_per_second": max(found.values()), **found}


# ---------------------------------------------------------------------------------------------------- bulk


def _bulk_bar(name: str, about: About) -> Bar | None:
    return Bar(1.0) if about.store == "PostgreSQL" else None


def _bulk_treadle(scene: Scene, peer: Peer) -> dict[str, float]:
    with scene.servers.ground() as ground:
        return scene.treadle.submit(ground, "bulk", scene.effort.bulk_jobs)


def _bulk_peer(scene: Scene, peer: Peer) -> dict[str, float]:
    with scene.servers.ground() as ground:
        return peer.submit(ground, "bulk", scene.effort.bulk_jobs)


# ------------------------------------------------------------------------------------------------- latency


def _latency_bar(name: str, about: About) -> Bar | None:
    return Bar(2.5, Better.LESS) if name == "huey" else None


def _latency_treadle(scene: Scene, peer: Peer) -> dict[str, float]:
    with scene.servers.ground() as ground:
        return scene.treadle.ping(ground, scene.effort.pings)


def _latency_peer(scene: Scene, peer: Peer) -> dict[str, float]:
    with scene.servers.ground() as ground:
        return peer.ping(ground, scene.effort.pings)


RATE = "jobs_per_second"
SUBMITS_SINGLY = frozenset({"one", "in_flight"})
PAIRINGS: tuple[Contest, ...] = (
    Pairing("drain", "Drain of no-op jobs, one worker", RATE, "jobs/s", frozenset(), _drain_bar,
            _drain_treadle, _drain_peer),
    Pairing("one", "Submission one by one: Treadle over HTTP, each answer after the commit; peers in process", RATE,
            "jobs/s", SUBMITS_SINGLY, _one_bar, _one_treadle, _one_peer, [(f"{_MANY} connections", _one_many)]),
    Pairing("bulk", "Submission in bulk: Treadle over HTTP; peers in process", RATE, "jobs/s", frozenset({"bulk"}),
            _bulk_bar, _bulk_treadle, _bulk_peer),
    Pairing("latency", "Idle latency, submission to handler start, p50: less is better", "p50_ms", "ms", frozenset(),
            _latency_bar, _latency_treadle, _latency_peer, own_bars=[("p99_ms", "ms", Bar(10.0, Better.LESS))]),
)  # fmt: skip
