"""Numbered migrations: reads ``0001_name.sql`` files and decides which are to be applied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

from treadle.errors import StoreRefused

_FILE = re.compile(r"(?P<number>[0-9]{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str


def read_migrations(package: str) -> list[Migration]:
    """All migrations in ``package``, from 1 without a gap. Raises ``ValueError``."""
    found = []
    for entry in resources.files(package).iterdir():
        if match := _FILE.fullmatch(entry.name):
            found.append(Migration(int(match["number"]), entry.name, entry.read_text("utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations in {package} are not numbered from 0001 without a gap")
    return found


def pending(migrations: list[Migration], at: int, *, migrate: bool) -> list[Migration]:
    """Those to apply to a schema at version ``at``. Raises ``StoreRefused`` for a newer or an unmigrated one."""
    newest = len(migrations)
    if at > newest:
        raise StoreRefused(
            f"the database's schema is version {at}, and this Treadle knows up to {newest}: install a newer Treadle"
        )
    if at < newest and not migrate:
        raise StoreRefused(
            f"the database's schema is version {at}, and this Treadle needs {newest}: run `treadle migrate`"
        )
    return migrations[at:]
