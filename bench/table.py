"""The table of a run, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from bench.results import Results
from bench.verdict import Bar, Better, Verdict

_HEAD = """\
| against | Treadle | the other | min | median | max | bar | | beside it |
|---|--:|--:|--:|--:|--:|--:|---|---|"""


def table_of(results: Results) -> str:
    """The whole page: where it ran, a table a contest, what each peer does not do, versions and settings."""
    parts = [f"# {results.title}", _preamble(results), *verdict_parts(results)]
    parts += ["## What becomes of finished jobs, and after a kill", _abilities(results)]
    parts += ["## Versions and settings", _settings(results)]
    if results.missing:
        parts += ["## Not measured", "\n".join(f"- {name}: {_cell(why)}" for name, why in results.missing.items())]
    return "\n\n".join(parts) + "\n"


def verdict_parts(results: Results) -> list[str]:
    """A heading and a table for each contest that has any verdict."""
    parts = []
    for name, title in results.contests.items():
        rows = [verdict for verdict in results.verdicts if verdict.contest == name]
        if rows:
            parts += [f"## {title}", "\n".join([_HEAD, *(_row(row, results) for row in rows)])]
    return parts


def verdict_word(verdict: Verdict) -> str:
    """As it stands in the table; nothing where there is no bar."""
    if verdict.is_reached is None:
        return ""
    if not verdict.values:
        return "**not measured**"
    return "reached" if verdict.is_reached else "**missed**"


def number(value: float) -> str:
    """Three digits, or all before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def measure(value: float | None, unit: str) -> str:
    """With its unit; nothing for None."""
    if value is None:
        return ""
    return f"{number(value)}{'' if unit in ('×', '') else ' '}{unit}"


def bar_text(bar: Bar | None, unit: str) -> str:
    """As in ``≥ 8×``; nothing for None."""
    if bar is None:
        return ""
    sign = "≥" if bar.better is Better.MORE else "≤"
    return f"{sign} {bar.limit:,g}{'' if unit == '×' else ' '}{unit}"


def _row(row: Verdict, results: Results) -> str:
    spread = [row.minimum, row.median, row.maximum] if row.values else [None] * 3
    beside = [results.beside(row.against), row.remark]
    cells = [
        results.name_of(row.against),
        measure(row.ours, row.figure_unit),
        measure(row.theirs, row.figure_unit),
        *(measure(value, row.unit) for value in spread),
        bar_text(row.bar, row.unit),
        verdict_word(row),
        "; ".join(filter(None, beside)),
    ]
    return f"| {' | '.join(map(_cell, cells))} |"


def _preamble(results: Results) -> str:
    machine = "  \n".join(f"{key}: {value}" for key, value in results.machine.items())
    kind = f"{results.rounds} rounds."
    if results.is_quick:
        kind = "A quick run: one round of small samples, which shows the order of things and no more."
    return (
        f"{machine}\n\n{kind} A ratio is Treadle's figure divided by the other's, from samples taken one after the"
        f" other; the bar is held against the median. Bars reached: {results.count(True)}; missed:"
        f" {results.count(False)}."
    )


def _abilities(results: Results) -> str:
    lines = ["| | finished jobs | jobs in hand after kill -9, by its documentation |", "|---|---|---|"]
    for about in results.abouts.values():
        lines.append(f"| {_cell(about.name)} | {_cell(about.history)} | {_cell(about.after_kill)} |")
    return "\n".join(lines)


def _settings(results: Results) -> str:
    lines = ["| | version | store | settings | from |", "|---|---|---|---|---|"]
    for about in results.abouts.values():
        package = f"{about.package} {about.version} ({about.language})"
        settings = _cell(_listed(about.settings))
        lines.append(f"| {_cell(about.name)} | {package} | {about.store} | {settings} | {_cell(about.page)} |")
    for name, server in results.servers.items():
        lines.append(f"| {name} | {server.version} | | {_cell(_listed(server.settings))}, the rest as shipped | |")
    return "\n".join(lines)


def _listed(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{key} = {value!r}" for key, value in settings.items())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:500]
