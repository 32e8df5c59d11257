"""Named queries: reads ``-- name: x`` blocks from ``.sql`` files, so SQL is read as SQL."""

from __future__ import annotations

import re
from importlib import resources

_HEADER = re.compile(r"^-- name: (?P<name>[a-z_]+)$", re.MULTILINE)


def read_queries(package: str, *files: str) -> dict[str, str]:
    """All named queries of ``files`` in ``package``. Raises ``ValueError`` where a name stands twice."""
    found: dict[str, str] = {}
    for file in files:
        text = resources.files(package).joinpath(file).read_text("utf-8")
        parts = _HEADER.split(text)[1:]
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise ValueError(f"{file}: the query {name} is defined twice")
            found[name] = body.strip().rstrip(";")
    return found
