"""The state diagram shows the whole table, and nothing else."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from scripts.pages.diagram import COLUMNS, diagram
from treadle.states import INITIAL, TRANSITIONS, Status, Verb

SVG = "{http://www.w3.org/2000/svg}"


def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(diagram())


def test_every_status_is_a_column_and_every_verb_a_row() -> None:
    words = [text.text for text in drawn().iter(f"{SVG}text")]
    assert {str(status) for status in Status} <= set(words)
    assert {verb: words.count(verb) for verb in Verb} == {
        verb: sum(row.verb is verb for row in TRANSITIONS) for verb in Verb
    }


def test_every_row_begins_at_its_sources_and_ends_at_its_target() -> None:
    columns = {rect.attrib["x"]: rect for rect in drawn().iter(f"{SVG}rect")}
    middles = {int(x) + 48: status for x, status in zip(columns, COLUMNS, strict=True)}
    dots: dict[str, set[Status]] = {}
    for dot in drawn().iter(f"{SVG}circle"):
        dots.setdefault(dot.attrib["cy"], set()).add(middles[int(dot.attrib["cx"])])
    tips = [found for path in drawn().iter(f"{SVG}path") if (found := re.match(r"M(\d+) (\d+)l", path.attrib["d"]))]
    ends = {tip[2]: min(middles.items(), key=lambda item: abs(item[0] - int(tip[1])))[1] for tip in tips}

    rows = sorted(dots, key=int)
    assert [dots[y] for y in rows] == [set(INITIAL), *(set(row.sources) for row in TRANSITIONS)]
    assert [ends[y] for y in rows[1:]] == [row.target for row in TRANSITIONS]
