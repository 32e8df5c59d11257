"""The state diagram: a column a status, a row a verb, an arrow from where it begins to where it ends.

Drawn from the table of ``states.py``, so that a new verb has its row and no line ever crosses a word. Its colours are
read on white and on black: an image does not know on which of them it stands.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from treadle.states import FINAL, INITIAL, TRANSITIONS, Actor, Status, Transition

COLUMNS = (
    Status.SCHEDULED,
    Status.RETRYING,
    Status.QUEUED,
    Status.PROCESSING,
    Status.COMPLETED,
    Status.FAILED,
    Status.DEAD,
    Status.CANCELLED,
)
LEFT, STEP, TOP, ROW = 184, 104, 44, 32
INK, LINE, MOVING, ENDED = "#7c8590", "#7c859055", "#2f6feb", "#5a6472"
FONT = 'font-family="system-ui, sans-serif" font-size="14"'


ACTORS = {
    Actor.PROMOTER: "promoter",
    Actor.WORKER: "worker",
    Actor.SETTLER: "worker, reaper",
    Actor.OPERATOR: "operator, API",
}


def diagram() -> str:
    """An SVG document, with a new line at its end."""
    if set(COLUMNS) != set(Status):
        raise ValueError("a status has no column: add it to COLUMNS")
    rows = [_entry(0), *(_row(n, row) for n, row in enumerate(TRANSITIONS, 1))]
    width, height = LEFT + STEP * len(COLUMNS), TOP + ROW * len(rows) + 8
    columns = "".join(_column(status, height) for status in COLUMNS)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" {FONT}>\n'
        "<title>Every status a job may have, and every verb that leads from one to another</title>\n"
        f"{columns}{''.join(rows)}</svg>\n"
    )


def _label(y: int, word: str, who: str) -> str:
    return (
        f'<text x="4" y="{y + 4}" fill="{INK}" font-weight="600">{escape(word)}</text>\n'
        f'<text x="{LEFT - 12}" y="{y + 4}" fill="{INK}" font-size="12" text-anchor="end">{escape(who)}</text>\n'
    )


def _x(status: Status) -> int:
    return LEFT + STEP * COLUMNS.index(status) + STEP // 2


def _column(status: Status, height: int) -> str:
    x, fill = _x(status), ENDED if status in FINAL else MOVING
    return (
        f'<path d="M{x} 38V{height - 4}" stroke="{LINE}" stroke-dasharray="2 4"/>\n'
        f'<rect x="{x - 48}" y="8" width="96" height="28" rx="{4 if status in FINAL else 14}" fill="{fill}"/>\n'
        f'<text x="{x}" y="27" text-anchor="middle" fill="#fff">{escape(status)}</text>\n'
    )


def _entry(number: int) -> str:
    y = TOP + ROW * number + ROW // 2
    marks = "".join(
        f'<circle cx="{_x(target)}" cy="{y}" r="6" fill="{INK}"/>\n' for target in COLUMNS if target in INITIAL
    )
    return _label(y, "submit", "anybody") + marks


def _row(number: int, row: Transition) -> str:
    y, end = TOP + ROW * number + ROW // 2, _x(row.target)
    parts = [_label(y, row.verb, ACTORS[row.by])]
    starts = [_x(source) for source in COLUMNS if source in row.sources]  # a set has another order in every process
    for side in (-1, 1):
        beside = [start for start in starts if (start - end) * side > 0]
        if beside:
            far = max(beside, key=lambda start: abs(start - end))
            tip = end + side * 3
            parts.append(f'<path d="M{far} {y}H{tip + side * 7}" stroke="{INK}" stroke-width="2"/>\n')
            parts.append(f'<path d="M{tip} {y}l{side * 11} -6v12z" fill="{INK}"/>\n')
    parts += [f'<circle cx="{start}" cy="{y}" r="4" fill="{INK}"/>\n' for start in starts]
    return "".join(parts)
