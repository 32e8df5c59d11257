"""The page of a run, in Markdown: whether anything bends upward, and every point."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.growth.curves import Curve
from bench.growth.pinned import Pinned
from bench.results import Results
from bench.sample import Sample
from bench.table import number, verdict_parts

_COLUMNS = {
    "cpu_us": "all, µs",
    "worker_us": "worker",
    "api_us": "API",
    "postgres_us": "PostgreSQL",
    "redis_us": "Redis",
    "jobs_per_second": "jobs/s",
    "least_waiting": "fewest waiting",
}
_ABOUT = """\
What a job costs Treadle, from the request that submits it to its commit as completed: CPU microseconds of API, worker,
PostgreSQL and Redis together. Each point is a steady state: workers take jobs off the front of a backlog, and as many
are submitted in batches. A curve's ratio is its last point divided by its cheapest. CPU time is steadier than jobs a
second, which stand beside it, and which the machine's other guests decide, too."""


def page_of(results: Results, curves: Sequence[Curve], pinned: Pinned | None) -> str:
    """The whole page, without the picture."""
    machine = "  \n".join(f"{key}: {value}" for key, value in results.machine.items())
    count = "One round of short samples: the shape of things and no more." if results.is_quick else ""
    rounds = count or f"Rounds: {results.rounds}; points are medians."
    judged = f"Bars reached: {results.count(True)}; missed: {results.count(False)}."
    parts = [f"# {results.title}", machine, _ABOUT, f"{rounds} {judged}", *verdict_parts(results), "## Every point"]
    for curve in curves:
        rows = [(f"{point:,}", _values(_of(results.samples, curve.name, str(point)))) for point in curve.points]
        parts += [_table(curve.axis, rows)]
    if pinned is not None:
        taken = [sample for sample in results.samples if sample.contest == pinned.name]
        rows = [(f"{moment.replace('_', ' ')}", _values(taken, f"{moment}_")) for moment in pinned.moments]
        parts += [_table(pinned.title.lower(), rows)]
    parts += ["## Versions and settings", _settings(results)]
    return "\n\n".join(parts) + "\n"


def _of(samples: Sequence[Sample], contest: str, pair: str) -> list[Sample]:
    return [sample for sample in samples if sample.contest == contest and sample.pair == pair]


def _values(samples: Sequence[Sample], prefix: str = "") -> dict[str, float]:
    found = {}
    for name in _COLUMNS:
        values = [sample.values[prefix + name] for sample in samples if prefix + name in sample.values]
        if values:
            found[name] = statistics.median(values)
    return found


def _table(axis: str, rows: Sequence[tuple[str, dict[str, float]]]) -> str:
    lines = [f"| {axis} | {' | '.join(_COLUMNS.values())} |", f"|--:|{'--:|' * len(_COLUMNS)}"]
    for name, values in rows:
        cells = [number(values[column]) if column in values else "" for column in _COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _settings(results: Results) -> str:
    lines = [f"- {about.name} {about.version}, PostgreSQL + Redis" for about in results.abouts.values()]
    for name, server in results.servers.items():
        settings = ", ".join(f"{key} {value}" for key, value in server.settings.items())
        lines.append(f"- {name} {server.version}: {settings}")
    return "\n".join(lines)
