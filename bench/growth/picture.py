"""The curves of a run, an SVG with a panel each: CPU time a job of all together, and of each part."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.chart import STYLE
from bench.growth.curves import KIB, Curve
from bench.growth.pinned import Pinned
from bench.results import Results
from bench.sample import Sample
from bench.table import number as digits

WIDTH, COLUMNS = 1000, 2
PANEL_HEIGHT, HEAD = 250, 44
LEFT, RIGHT, TOP, BOTTOM = 56, 116, 40, 36
"""Around the lines of a panel."""

SERIES = {"cpu_us": "all", "worker_us": "worker", "api_us": "API", "postgres_us": "PostgreSQL", "redis_us": "Redis"}
_LABEL_GAP = 13
_WORD = 26
"""Room for a number below the axis."""

_OWN_STYLE = """
  svg { --a: #0969da; --b: #bc4c00; --c: #8250df; --d: #1a7f37; }
  @media (prefers-color-scheme: dark) { svg { --a: #58a6ff; --b: #f0883e; --c: #bc8cff; --d: #3fb950; } }
  polyline { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
  .cpu_us { stroke: var(--ink); fill: var(--ink); } polyline.cpu_us { stroke-width: 3; fill: none; }
  .worker_us { stroke: var(--a); } .api_us { stroke: var(--b); } .postgres_us { stroke: var(--c); }
  .redis_us { stroke: var(--d); }
  text.worker_us { fill: var(--a); } text.api_us { fill: var(--b); } text.postgres_us { fill: var(--c); }
  text.redis_us { fill: var(--d); } text.name { stroke: none; font-size: 11px; }"""


@dataclass(frozen=True)
class Panel:
    """Lines over one quantity."""

    title: str
    axis: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    """By the name of the figure; x and y, which is above zero."""


def picture_of(results: Results, curves: Sequence[Curve], pinned: Pinned | None) -> str:
    """All panels that have any point."""
    panels = list(panels_of(results, curves, pinned))
    rows = math.ceil(len(panels) / COLUMNS)
    height = HEAD + rows * PANEL_HEIGHT + 8
    body = "\n".join(line for number, panel in enumerate(panels) for line in _panel(panel, number))
    note = "quick run; " if results.is_quick else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{_text(results.title)}">\n<style>\n{STYLE}{_OWN_STYLE}\n</style>\n'
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>\n'
        f'<text class="title" x="16" y="26">{_text(results.title)}</text>\n'
        f'<text class="small end" x="{WIDTH - 16}" y="26">{note}CPU microseconds a job; both axes logarithmic</text>\n'
        f"{body}\n</svg>\n"
    )


def panels_of(results: Results, curves: Sequence[Curve], pinned: Pinned | None) -> Iterator[Panel]:
    """Medians over the rounds."""
    for curve in curves:
        points = {point: costs_at(results.samples, curve, point) for point in curve.points}
        yield from _filled(Panel(f"{curve.title}: µs a job", curve.axis, _lines(points)))
        if curve.per_kib:
            each = {x: {name: y / (x / KIB) for name, y in costs.items()} for x, costs in points.items()}
            yield from _filled(Panel(f"{curve.title}: µs a KiB", curve.axis, _lines(each)))
    if pinned is not None:
        taken = [sample for sample in results.samples if sample.contest == pinned.name]
        found = {
            pinned.seconds_at(moment): {name: _median(taken, f"{moment}_{name}") for name in SERIES}
            for moment in pinned.moments
        }
        yield from _filled(
            Panel(f"{pinned.title}: µs a job", "seconds; the first and the last without it", _lines(found))
        )


def costs_at(samples: Sequence[Sample], curve: Curve, point: int) -> dict[str, float]:
    """Medians of one point's figures over the rounds; zero where there is none."""
    taken = [sample for sample in samples if sample.contest == curve.name and sample.pair == str(point)]
    return {name: _median(taken, name) for name in SERIES}


def _median(samples: Sequence[Sample], name: str) -> float:
    values = [sample.values[name] for sample in samples if name in sample.values]
    return statistics.median(values) if values else 0.0


def _lines(
    points: Mapping[float, Mapping[str, float]] | Mapping[int, Mapping[str, float]],
) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for x, costs in points.items():
        for name, y in costs.items():
            if y > 0:
                lines.setdefault(name, []).append((float(x), y))
    return lines


def _filled(panel: Panel) -> Iterator[Panel]:
    if any(len(line) > 1 for line in panel.lines.values()):
        yield panel


_MARGIN = 0.06
"""Decades beside the outermost values."""


def _log(value: float) -> float:
    """Nothing has no logarithm: an empty history stands where one row would."""
    return math.log10(value) if value > 0 else 0.0


class _Scale:
    """From values to places, logarithmic, with whole decades at its ends where it has more than one."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self._low, self._high = _log(min(values)) - _MARGIN, _log(max(values)) + _MARGIN
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (_log(value) - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)

    @property
    def ticks(self) -> list[float]:
        decades = range(math.floor(self._low), math.ceil(self._high) + 1)
        steps = (1, 2, 5) if self._high - self._low < 2.5 else (1,)
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        return [tick for tick in ticks if self._low <= math.log10(tick) <= self._high]


def _panel(panel: Panel, number: int) -> Iterator[str]:
    width = WIDTH // COLUMNS
    left, top = number % COLUMNS * width, HEAD + number // COLUMNS * PANEL_HEIGHT
    points = [point for line in panel.lines.values() for point in line]
    x = _Scale([x for x, _ in points], left + LEFT, left + width - RIGHT)
    y = _Scale([y for _, y in points], top + PANEL_HEIGHT - BOTTOM, top + TOP)
    x_start, x_end, y_start, y_end = left + LEFT, left + width - RIGHT, top + PANEL_HEIGHT - BOTTOM, top + TOP
    yield f'<text class="title" x="{left + 16}" y="{top + 24}">{_text(panel.title)}</text>'
    for tick in y.ticks:
        yield f'<line class="grid" x1="{x_start}" y1="{y(tick)}" x2="{x_end}" y2="{y(tick)}"/>'
        yield f'<text class="small end" x="{x_start - 6}" y="{y(tick) + 4}">{tick:,g}</text>'
    free_from = -math.inf
    for value in sorted({value for value, _ in points}):
        yield f'<line class="grid" x1="{x(value)}" y1="{y_start}" x2="{x(value)}" y2="{y_end}"/>'
        if x(value) >= free_from:
            yield f'<text class="small middle" x="{x(value)}" y="{y_start + 14}">{_short(value)}</text>'
            free_from = x(value) + _WORD
    yield f'<text class="small middle" x="{(x_start + x_end) / 2}" y="{y_start + 28}">{_text(panel.axis)}</text>'
    ends = {}
    for name, line in panel.lines.items():
        places = " ".join(f"{x(value)},{y(cost)}" for value, cost in line)
        yield f'<polyline class="{name}" points="{places}"/>'
        for value, cost in line:
            yield f'<circle class="{name}" cx="{x(value)}" cy="{y(cost)}" r="2"><title>{digits(cost)}</title></circle>'
        ends[name] = y(line[-1][1])
    for name, place in _apart(ends).items():
        cost = panel.lines[name][-1][1]
        yield f'<text class="name {name}" x="{x_end + 8}" y="{place + 4}">{SERIES[name]} {digits(cost)}</text>'


def _apart(places: Mapping[str, float]) -> dict[str, float]:
    """Moved down where two words would stand in each other."""
    moved: dict[str, float] = {}
    lowest = -math.inf
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        lowest = max(place, lowest + _LABEL_GAP)
        moved[name] = round(lowest, 1)
    return moved


def _short(value: float) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _text(text: str) -> str:
    return escape(text, {'"': "&quot;"})
