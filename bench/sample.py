"""``Sample``: what one measurement of one side gave, and the file that keeps them while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

Key = tuple[str, int, str, str]
"""Contest, round, pair, side: what a sample is known by."""


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One side's measurement in one round."""

    contest: str
    round: int
    """From 1."""
    pair: str
    """Who stands against Treadle in it, or what is compared."""
    side: str
    values: Mapping[str, float] = {}
    """By name, with the unit in the name."""
    error: str = ""
    """Why there are no values."""

    @property
    def key(self) -> Key:
        return self.contest, self.round, self.pair, self.side


class Log:
    """Samples of one run, one a line, each on disk before the next is taken: what an interrupted run resumes from."""

    def __init__(self, path: Path, header: Mapping[str, object]) -> None:
        """``header`` says what makes runs comparable; a file with another one is of another run."""
        self.path = path
        self._header = msgspec.json.encode(header)
        self.samples: list[Sample] = []

    def begin(self) -> None:
        """Throw away what an earlier run left."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(self._header + b"\n")
        self.samples = []

    def resume(self) -> bool:
        """Go on where the file ends; False where there is no such file, or it is of a run with other settings.

        A line that was cut off in the middle of being written is dropped.
        """
        if not self.path.exists():
            return False
        header, *lines = self.path.read_bytes().split(b"\n")
        if header != self._header:
            return False
        whole = lines[:-1]  # what follows the last line break is empty, or half a line
        self.samples = []
        for line in whole:
            self._keep(msgspec.json.decode(line, type=Sample))
        self.path.write_bytes(b"".join(line + b"\n" for line in (header, *whole)))
        return True

    @property
    def taken(self) -> set[Key]:
        """Failed ones are not taken: they are tried again."""
        return {sample.key for sample in self.samples if not sample.error}

    def add(self, sample: Sample) -> None:
        """Keep one, in place of an earlier failure."""
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(sample) + b"\n")
        self._keep(sample)

    def _keep(self, sample: Sample) -> None:
        self.samples = [kept for kept in self.samples if kept.key != sample.key] + [sample]
