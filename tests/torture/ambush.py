"""Ambushes: a process that is armed to stop or to end itself at one exact line, some way into its life.

What comes from outside lands anywhere, and hardly ever between a decision and the statement that carries it out. A
worker that is stopped right before its claim and goes on after its lease has ended sends just the claim that must not
be granted; one stopped before it settles, the outcome that must not count.
"""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

_LINES = {
    "worker": (
        "worker.before_claim",
        "worker.after_claim",
        "worker.before_handler",
        "worker.after_handler",
        "worker.before_settle",
        "worker.after_settle",
    ),
    "api": ("api.before_commit", "api.after_commit", "duties.after_end_lease"),
}
ALWAYS = {"worker0.0": "worker.before_claim", "worker1.0": "worker.before_settle"}
_ARMED = 0.8
_FIRST, _LAST = 4, 40
"""Passes of the line before it acts: seconds to half a minute."""


@dataclass(frozen=True)
class Ambush:
    """One process's."""

    line: str
    action: str
    """``stop`` or ``kill9``."""
    nth: int

    @property
    def settings(self) -> dict[str, str]:
        return {"TREADLE_TESTING": "1", "TREADLE_FAILPOINTS": f"{self.line}={self.action}@{self.nth}"}


def ambush(seed: int, kind: str, name: str) -> Ambush | None:
    """For the process of this name; the seed says whether there is one. The first two workers always walk into those
    that try the two fences, of claims and of outcomes.
    """
    chance = random.Random(f"{seed} ambush {name}")
    if name in ALWAYS:
        return Ambush(ALWAYS[name], "stop", chance.randint(_FIRST, _LAST // 2))
    if chance.random() > _ARMED:
        return None
    line = chance.choice(_LINES[kind])
    nth = 1 if line.startswith("duties") else chance.randint(_FIRST, _LAST)
    return Ambush(line, chance.choice(("stop", "stop", "kill9")), nth)


class Successor:
    """Whether somebody has begun anew what a stopped worker held: the worst moment for it to go on.

    Its outcome then meets a running attempt of somebody else, which only the attempt's number tells from its own.
    """

    def __init__(self, ledger: Path, pid: int) -> None:
        self._ledger = ledger
        lines = _read(ledger, 0)
        self._offset = sum(len(line) for line in lines)
        own = (line.decode().split() for line in lines)
        self._held = {words[1] for words in own if str(pid) in words[4:6]}

    def has_begun(self) -> bool:
        """Looks at what was written since the last look. A handler that is over in no time at all does not count."""
        lines = _read(self._ledger, self._offset)
        self._offset += sum(len(line) for line in lines)
        starts = (line for line in lines if line.startswith(b"start ") and line.endswith(b" STEPS\n"))
        begun = (line.decode().split() for line in starts)
        return any(words[1] in self._held and int(words[2]) > 1 for words in begun)


def _read(ledger: Path, offset: int) -> list[bytes]:
    try:
        with ledger.open("rb") as file:
            file.seek(offset)
            return [line for line in file.readlines() if line.endswith(b"\n")]
    except FileNotFoundError:
        return []


def is_stopped(pid: int) -> bool:
    """Whether a process stands still on a signal."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False  # it has ended
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.startswith("T")
