"""Every kind of problem the API can answer with is in the docs, and every one in the docs exists."""

from __future__ import annotations

import re
from pathlib import Path

from treadle.web import problems
from treadle.web.problems import Kind

HTTP_PAGE = Path(__file__).parents[2] / "docs" / "http.md"


def test_the_docs_list_exactly_the_problems_there_are() -> None:
    made = {value.slug for value in vars(problems).values() if isinstance(value, Kind)}
    documented = set(re.findall(r"`/problems/([a-z-]+)`", HTTP_PAGE.read_text("utf-8")))
    assert documented == made
