"""Takes every sample of a run that is not taken yet, one after the other, and writes each down at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.sample import Log, Sample
from bench.scene import Contest, Scene

Tell = Callable[[Sample, int, int], None]
"""A sample that was just taken, how many are done, and how many there are."""


def run(scene: Scene, contests: Sequence[Contest], log: Log, begin: Callable[[str], None], tell: Tell) -> None:
    """A side that fails leaves a sample with its error, and the run goes on: the table shows it.

    ``begin`` hears what is being measured now.
    """
    plan = [
        (contest, number, step)
        for contest in contests
        for number in range(1, scene.effort.rounds + 1)
        for step in contest.steps(scene)
    ]
    for done, (contest, number, step) in enumerate(plan, start=1):
        if (contest.name, number, step.pair, step.side) in log.taken:
            continue
        begin(f"{contest.name}, round {number} of {scene.effort.rounds}: {step.side} ({step.pair})")
        try:
            sample = Sample(contest.name, number, step.pair, step.side, step.take())
        except Exception as error:  # whatever a side gets wrong is that side's
            said = f"{type(error).__name__}: {error}"[:2000]
            sample = Sample(contest.name, number, step.pair, step.side, error=said)
        log.add(sample)
        tell(sample, done, len(plan))
