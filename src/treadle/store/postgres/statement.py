"""Statements: named SQL with parameters by name, as PostgreSQL takes them, by number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from treadle.store.queries import read_queries

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")  # not the type behind ::
_COMMENT = re.compile(r"--.*")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its text with $1, $2, …, and the names of these."""

    name: str
    text: str
    parameters: tuple[str, ...]

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """``values`` in the statement's order. Raises ``KeyError`` where one is missing."""
        return [values[name] for name in self.parameters]


def statement(name: str, sql: str) -> Statement:
    """The statement that ``sql`` says with parameters like ``:ids``."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return Statement(name, _PARAMETER.sub(number, _COMMENT.sub("", sql)), tuple(names))


SQL = {
    name: statement(name, sql)
    for name, sql in read_queries(
        "treadle.store.postgres.sql", "jobs.sql", "pages.sql", "queues.sql", "types.sql", "workers.sql"
    ).items()
}
