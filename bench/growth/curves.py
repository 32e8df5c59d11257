"""``Curve``: a job's cost along one quantity, with everything else as it is. None may bend upward."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.growth.reach import Reach
from bench.growth.steady import Shape, steady
from bench.sample import Sample
from bench.scene import Scene, Step
from bench.side import About
from bench.verdict import TREADLE, Bar, Better, Verdict

BENDS = Bar(1.25, Better.LESS)
"""Our own reading of "does not bend upward": the last point beside the cheapest. Two samples of the same state, taken
one after the other, differ by a tenth on a quiet machine, and the cheapest of five points is the luckiest of them."""

KIB = 1024


@dataclass(frozen=True)
class Curve:
    """A contest of Treadle with itself."""

    name: str
    title: str
    axis: str
    """What grows."""
    points: Sequence[int]
    shape_of: Callable[[int], Shape]
    seconds: float
    per_kib: bool = False
    """Judged by what a KiB costs: bytes have to be moved, and the question is whether more of them cost more each."""

    def steps(self, scene: Scene) -> list[Step]:
        """See ``Contest``."""
        return [Step(str(point), TREADLE, partial(self._take, scene, point)) for point in self.points]

    def verdicts(self, samples: Sequence[Sample], abouts: Mapping[str, About]) -> list[Verdict]:
        """See ``Contest``. The last point divided by the cheapest, in each round that has all points."""
        found = [self._verdict(samples, self.axis, lambda _: 1.0, "µs", None if self.per_kib else BENDS)]
        if self.per_kib:
            found.append(self._verdict(samples, f"{self.axis}, a KiB", lambda x: x / KIB, "µs a KiB", BENDS))
        return found

    def _verdict(
        self, samples: Sequence[Sample], name: str, amount: Callable[[int], float], unit: str, bar: Bar | None
    ) -> Verdict:
        rounds: dict[int, dict[int, float]] = {}
        for sample in samples:
            if "cpu_us" in sample.values and int(sample.pair) in self.points:
                point = int(sample.pair)
                rounds.setdefault(sample.round, {})[point] = sample.values["cpu_us"] / amount(point)
        whole = [costs for costs in rounds.values() if len(costs) == len(self.points)]
        last = self.points[-1]
        return Verdict(
            self.name,
            f"{name}: at {last:,} beside the cheapest",
            "×",
            [costs[last] / min(costs.values()) for costs in whole],
            bar,
            statistics.median(costs[last] for costs in whole) if whole else None,
            statistics.median(min(costs.values()) for costs in whole) if whole else None,
            unit,
            _remark(samples),
        )

    def _take(self, scene: Scene, point: int) -> dict[str, float]:
        with scene.servers.ground() as ground, steady(scene.treadle, ground, self.shape_of(point)) as state:
            return state.watch(self.seconds)


def _remark(samples: Sequence[Sample]) -> str:
    failed = [sample for sample in samples if sample.error]
    return "; ".join(f"{sample.pair}: {sample.error.splitlines()[0][:150]}" for sample in failed)


def curves_of(reach: Reach) -> list[Curve]:
    """All six. A worker's batches are as large as its slots are many: sharing slots is another question than adding."""
    make = partial(Curve, seconds=reach.seconds)
    return [
        make("backlog", "Backlog", "jobs queued", reach.backlogs, lambda n: Shape(backlog=n)),
        make("history", "History", "finished rows", reach.histories, lambda n: Shape(history=n)),
        make("payload", "Payload", "bytes of payload", reach.payload_bytes, lambda n: Shape(payload_bytes=n),
             per_kib=True),
        make("slots", "Slots", "slots of one worker", reach.slots, lambda n: Shape(slots=n)),
        make("processes", "Processes", "workers with 64 slots each", reach.processes,
             lambda n: Shape(slots=64 * n, processes=n)),
        make("shared", "Processes that share slots", "workers that share 64 slots", reach.processes,
             lambda n: Shape(processes=n)),
    ]  # fmt: skip
