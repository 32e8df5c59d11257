"""Query parameters: every one is known, given once, and plain."""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.requests import Request

from treadle.errors import InvalidInput, Problem

_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")


def read_query(request: Request, known: Collection[str]) -> dict[str, str]:
    """The parameters. Raises ``InvalidInput`` for unknown and repeated ones."""
    if not request.url.query:
        return {}
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in request.query_params.multi_items():
        if name not in known:
            words = f"known here: {', '.join(sorted(known))}" if known else "no parameters are taken here"
            problems.append(Problem("", "unknown_parameter", f"an unknown query parameter; {words}"))
        elif name in found:
            problems.append(Problem(f"/{name}", "repeated", "give this parameter once"))
        found[name] = value
    if problems:
        raise InvalidInput(problems)
    return found


def number(name: str, text: str, low: float, high: float, *, whole: bool = False) -> float:
    """A number parameter. Raises ``InvalidInput``."""
    if not _NUMBER.fullmatch(text) or not low <= float(text) <= high or (whole and "." in text):
        words = f"{'a whole number' if whole else 'a number'} from {low:g} to {high:g}"
        raise InvalidInput([Problem(f"/{name}", "range", f"expected {words}")])
    return float(text)
