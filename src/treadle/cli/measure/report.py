"""``Report``: what was measured and the facts that explain it, for programs and for people."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from treadle.assemble import VERSION
from treadle.cli.speaking import printable


class Phase(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One line; what it does not have stays away."""

    name: str
    concurrency: int | None = None
    """Single submissions on their way at once."""
    jobs: int
    seconds: float
    jobs_per_second: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    own_cpu: float | None = None
    """How much of one core the measuring process used."""


class Facts(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """What the figures depend on."""

    treadle: str = VERSION
    python: str = platform.python_version()
    server: str | None = None
    server_round_trip_ms: float | None = None
    database: str | None = None
    durability: dict[str, str] = {}
    database_round_trip_ms: float | None = None
    flush_ms: float | None = None
    redis: str | None = None
    redis_round_trip_ms: float | None = None
    slots: int | None = None
    cpus: int = 0


class Report(msgspec.Struct, kw_only=True):
    """All of it."""

    facts: Facts
    phases: list[Phase] = []
    notes: list[str] = []


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that so many of them do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def cpus_here() -> int:
    """Those that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def print_report(report: Report) -> None:
    """A table, the facts under it, and what to think of when reading."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("measured", no_wrap=True)
    for name in ("jobs", "jobs/s", "p50 ms", "p99 ms", "bench's own CPU"):
        table.add_column(name, justify="right", no_wrap=True)
    for phase in report.phases:
        table.add_row(
            phase.name if phase.concurrency is None else f"{phase.name} at a time",
            f"{phase.jobs:,}",
            "" if phase.jobs_per_second is None else f"{phase.jobs_per_second:,.0f}",
            _ms(phase.p50_ms),
            _ms(phase.p99_ms),
            "" if phase.own_cpu is None else f"{phase.own_cpu:.0%}",
        )
    console.print(table)
    console.print()
    for line in _facts(report.facts):
        console.print(printable(line), markup=False, soft_wrap=True)
    for note in report.notes:
        console.print(printable(note), markup=False, soft_wrap=True)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _facts(facts: Facts) -> list[str]:
    lines: list[str] = []
    if facts.server is not None:
        lines.append(f"server      {facts.server}{_trip(facts.server_round_trip_ms)}")
    if facts.database is not None:
        durability = "".join(f", {name} {value}" for name, value in facts.durability.items())
        flush = "" if facts.flush_ms is None else f", flush of its disk {facts.flush_ms:.2f} ms"
        lines.append(f"database    {facts.database}{durability}{_trip(facts.database_round_trip_ms)}{flush}")
        lines.append(f"Redis       {facts.redis or 'none'}{_trip(facts.redis_round_trip_ms)}")
    if facts.slots is not None:
        lines.append(f"processes   one API, one worker with {facts.slots} slots, and this one")
    lines.append(f"machine     {facts.cpus} CPUs, Python {facts.python}, Treadle {facts.treadle}")
    return lines


def _trip(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f", round trip {milliseconds:.2f} ms"
