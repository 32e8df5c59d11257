"""The picture is sound XML, shows every ratio, and is read without colours."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec

from bench.chart import chart_of
from bench.results import Results

SVG = "{http://www.w3.org/2000/svg}"


def bars_of(picture: ElementTree.Element) -> list[ElementTree.Element]:
    return [rect for rect in picture.iter(f"{SVG}rect") if rect.get("class") != "paper"]


def test_every_ratio_has_a_bar_that_says_its_verdict(results: Results) -> None:
    picture = ElementTree.fromstring(chart_of(results))
    assert [bar.get("class") for bar in bars_of(picture)] == ["held", "missed", "plain"]
    words = [text.text or "" for text in picture.iter(f"{SVG}text")]
    assert "Huey <3" in words
    assert "8.50×  (≥ 8×: reached)" in words
    assert "7.50×  (≥ 8×: missed)" in words


def test_a_bar_runs_from_one_in_the_direction_of_the_ratio(results: Results) -> None:
    picture = ElementTree.fromstring(chart_of(results))
    (one,) = [line for line in picture.iter(f"{SVG}line") if line.get("class") == "one"]
    above, _, below = bars_of(picture)
    assert above.get("x") == one.get("x1")
    assert float(below.get("x", 0)) + float(below.get("width", 0)) == float(one.get("x1", 0))


def test_a_run_without_ratios_is_a_picture_too(results: Results) -> None:
    ElementTree.fromstring(chart_of(msgspec.structs.replace(results, verdicts=[])))
