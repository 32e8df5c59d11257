"""The picture of a run, an SVG: a bar for every ratio from 1× on, on a logarithmic axis, with min, max and the bar."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from bench.results import Results
from bench.table import bar_text, measure, verdict_word
from bench.verdict import Verdict

WIDTH, LEFT, RIGHT = 1000, 290, 210
ROW, BAR, HEAD = 26, 12, 40

# Text takes the page's colour where the SVG stands inside it, and follows the reader's scheme where it stands alone.
# Blue and orange are told apart by the colour-blind, too; the words say the same.
STYLE = """\
  :root { color-scheme: light dark; }
  svg { --ink: #1f2328; --faint: #8b949e; --paper: #ffffff; --held: #0969da; --missed: #bc4c00; --plain: #8b949e; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --faint: #7d8590; --paper: #0d1117; --held: #58a6ff; --missed: #f0883e; --plain: #7d8590; }
  }
  .paper { fill: var(--paper); }
  text { fill: var(--ink); font: 13px system-ui, sans-serif; }
  .title { font-weight: 600; font-size: 14px; }
  .small { fill: var(--faint); font-size: 11px; }
  .end { text-anchor: end; } .middle { text-anchor: middle; }
  .grid { stroke: var(--faint); stroke-opacity: .3; } .one { stroke: var(--ink); stroke-opacity: .7; }
  .held { fill: var(--held); } .missed { fill: var(--missed); } .plain { fill: var(--plain); }
  .spread { stroke: var(--ink); stroke-width: 1.5; }
  .goal { stroke: var(--ink); stroke-width: 2; stroke-dasharray: 3 2; }"""


def chart_of(results: Results) -> str:
    """All ratios of a run. One without any is a picture with the title alone."""
    groups = [(title, _ratios(results, name)) for name, title in results.contests.items()]
    groups = [(title, rows) for title, rows in groups if rows]
    axis = _Axis([verdict for _, rows in groups for verdict in rows])
    height = HEAD + 24 + sum(HEAD + ROW * len(rows) for _, rows in groups)
    body = "\n".join(_body(results, groups, axis, height))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{_text(results.title)}">\n<style>\n{STYLE}\n</style>\n{body}\n</svg>\n'
    )


class _Axis:
    """From value to x. 1× is always on it."""

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        values = [1.0, *(value for verdict in verdicts for value in verdict.values if value > 0)]
        values += [verdict.bar.limit for verdict in verdicts if verdict.bar]
        self._low = min(0.5, min(values) / 1.2)
        self._high = max(2.0, max(values) * 1.2)

    def x(self, value: float) -> float:
        share = math.log(max(value, self._low) / self._low) / math.log(self._high / self._low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    @property
    def ticks(self) -> list[float]:
        decades = range(math.floor(math.log10(self._low)), math.ceil(math.log10(self._high)) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        return [tick for tick in ticks if self._low <= tick <= self._high]


def _ratios(results: Results, contest: str) -> list[Verdict]:
    return [v for v in results.verdicts if v.contest == contest and v.unit == "×" and v.values]


def _body(results: Results, groups: Sequence[tuple[str, Sequence[Verdict]]], axis: _Axis, height: int) -> Iterator[str]:
    yield f'<rect class="paper" width="{WIDTH}" height="{height}"/>'
    yield f'<text class="title" x="16" y="26">{_text(results.title)}</text>'
    words = "quick run; " if results.is_quick else ""
    yield f'<text class="small end" x="{WIDTH - 16}" y="26">{words}Treadle divided by the other; dashed: the bar</text>'
    for tick in axis.ticks:
        kind = "one" if tick == 1 else "grid"
        yield f'<line class="{kind}" x1="{axis.x(tick)}" y1="{HEAD}" x2="{axis.x(tick)}" y2="{height - 24}"/>'
        yield f'<text class="small middle" x="{axis.x(tick)}" y="{height - 8}">{tick:g}×</text>'
    top = HEAD
    for title, rows in groups:
        yield f'<text class="title" x="16" y="{top + 26}">{_text(title)}</text>'
        top += HEAD
        for row in rows:
            yield from _row(results, row, axis, top)
            top += ROW


def _row(results: Results, row: Verdict, axis: _Axis, top: int) -> Iterator[str]:
    middle = top + ROW // 2
    kind = {True: "held", False: "missed", None: "plain"}[row.is_reached]
    start, end = sorted((axis.x(1), axis.x(row.median)))
    yield f'<text class="end" x="{LEFT - 12}" y="{middle + 4}">{_text(results.name_of(row.against))}</text>'
    yield (
        f'<rect class="{kind}" x="{start}" y="{middle - BAR // 2}" width="{max(1.0, round(end - start, 1))}"'
        f' height="{BAR}" rx="2"/>'
    )
    yield f'<line class="spread" x1="{axis.x(row.minimum)}" y1="{middle}" x2="{axis.x(row.maximum)}" y2="{middle}"/>'
    if row.bar:
        goal = axis.x(row.bar.limit)
        yield f'<line class="goal" x1="{goal}" y1="{top + 3}" x2="{goal}" y2="{top + ROW - 3}"/>'
    word = verdict_word(row).strip("*")
    said = f"{measure(row.median, '×')}" + (f"  ({bar_text(row.bar, '×')}: {word})" if row.bar else "")
    yield f'<text x="{WIDTH - RIGHT + 16}" y="{middle + 4}">{_text(said)}</text>'


def _text(text: str) -> str:
    return escape(text, {'"': "&quot;"})
