"""``Results``: everything a run found out, and the files in ``bench/results/`` that keep it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from bench.sample import Sample
from bench.side import About
from bench.verdict import TREADLE, Verdict

_PROC = Path("/proc")


class Server(msgspec.Struct, frozen=True):
    """PostgreSQL or Redis."""

    version: str
    settings: Mapping[str, str]


class Results(msgspec.Struct, frozen=True):
    """One run."""

    date: str
    """Of its end, as 2026-11-24."""
    machine: Mapping[str, str]
    """Processor, cores, memory, kernel, Python; not its name."""
    is_quick: bool
    rounds: int
    contests: Mapping[str, str]
    """Title by name, in order."""
    servers: Mapping[str, Server]
    abouts: Mapping[str, About]
    """Treadle's first."""
    verdicts: Sequence[Verdict]
    samples: Sequence[Sample]
    missing: Mapping[str, str]
    """Peers that could not take part, and why."""
    topic: str = ""
    """``growth``, or empty for the comparison with others."""

    @property
    def title(self) -> str:
        return f"{'How Treadle grows' if self.topic else 'Treadle side by side'}, {self.date}"

    def beside(self, against: str) -> str:
        """What stands beside a peer's number: what it keeps and what it may lose, which decide what it has to write."""
        about = self.abouts.get(against)
        if about is None or against == TREADLE:
            return ""
        return f"keeps of a finished job: {about.history}; after a kill: {about.after_kill}"

    def count(self, is_reached: bool) -> int:
        """Verdicts whose bar was, or was not."""
        return sum(verdict.is_reached is is_reached for verdict in self.verdicts)

    def name_of(self, against: str) -> str:
        """A peer's own name; anything else as it is."""
        return self.abouts[against].name if against in self.abouts else against

    @property
    def stem(self) -> str:
        """Of the files: date and machine, as ``2026-11-24-amd-epyc-7b13-2-cores``."""
        words = f"{self.machine['processor']} {self.machine['cores']} cores"
        slug = re.sub(r"[^a-z0-9]+", "-", words.lower().replace("(r)", "").replace("(tm)", "")).strip("-")
        return "-".join(filter(None, (self.date, slug, self.topic, "quick" if self.is_quick else "")))


def write(results: Results, folder: Path, table: str, chart: str) -> list[Path]:
    """JSON with every sample, the table, the picture. A run of the same day is kept: the name gets a number."""
    folder.mkdir(parents=True, exist_ok=True)
    stem, count = results.stem, 1
    while (folder / f"{stem}.json").exists():
        count += 1
        stem = f"{results.stem}-{count}"
    raw = msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n"
    made = {"json": raw, "md": f"{table}\n![{results.title}]({stem}.svg)\n".encode(), "svg": chart.encode()}
    for kind, data in made.items():
        (folder / f"{stem}.{kind}").write_bytes(data)
    return [folder / f"{stem}.{kind}" for kind in made]


def read(path: Path) -> Results:
    """Of a file that ``write`` made."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def machine(folder: Path) -> dict[str, str]:
    """What it is, without who it is. ``folder``: where the servers keep their files."""
    return {
        "processor": _first(_PROC / "cpuinfo", r"model name\s*:\s*(.+)") or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "disk": _filesystem(folder),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def today() -> str:
    return datetime.now().astimezone().date().isoformat()


def _filesystem(folder: Path) -> str:
    """Of a folder, by Linux' table of mounts: the last one whose place is above it."""
    try:
        mounts = [line.split() for line in (_PROC / "mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "unknown"
    above = [mount for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    return max(above, key=lambda mount: len(mount[1]))[2] if above else "unknown"


def _memory() -> str:
    kib = _first(_PROC / "meminfo", r"MemTotal:\s*(\d+)")
    return f"{int(kib) / 2**20:.0f} GiB" if kib else "unknown"


def _first(path: Path, pattern: str) -> str:
    try:
        found = re.search(pattern, path.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found.group(1).strip() if found else ""
