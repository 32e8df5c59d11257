"""Files of SQL: named queries and numbered migrations are read as they were written, or refused."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from treadle.errors import StoreRefused
from treadle.store.migrate import Migration, pending, read_migrations
from treadle.store.queries import read_queries
from treadle.store.sqlite.store import _statements

FIRST, SECOND = Migration(1, "0001_a.sql", "a"), Migration(2, "0002_b.sql", "b")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that can be read as a package of this test's own name."""
    folder = tmp_path / "sql_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sql_of_a_test", raising=False)
    return folder


def test_migrations_are_read_in_their_order_and_other_files_left(package: Path) -> None:
    for name in ("0002_b.sql", "0001_a.sql", "notes.txt", "draft.sql"):
        (package / name).write_text(name[5])

    assert read_migrations("sql_of_a_test") == [FIRST, SECOND]


@pytest.mark.parametrize("names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_a_gap_in_the_numbers_is_refused(package: Path, names: list[str]) -> None:
    for name in names:
        (package / name).touch()

    with pytest.raises(ValueError, match="gap"):
        read_migrations("sql_of_a_test")


@pytest.mark.parametrize(("at", "expected"), [(0, [FIRST, SECOND]), (1, [SECOND]), (2, [])])
def test_only_what_is_missing_is_applied(at: int, expected: list[Migration]) -> None:
    assert pending([FIRST, SECOND], at, migrate=True) == expected


@pytest.mark.parametrize(("at", "migrate"), [(3, True), (3, False), (0, False), (1, False)])
def test_a_newer_schema_and_one_that_may_not_be_touched_are_refused(at: int, migrate: bool) -> None:
    with pytest.raises(StoreRefused):
        pending([FIRST, SECOND], at, migrate=migrate)


def test_queries_are_read_by_name(package: Path) -> None:
    (package / "a.sql").write_text(
        "-- Opening words.\n\n-- name: first\n-- Why.\nSELECT 1;\n\n-- name: second\nSELECT 2;\n"
    )
    (package / "b.sql").write_text("-- name: third\nSELECT\n  3")

    assert read_queries("sql_of_a_test", "a.sql", "b.sql") == {
        "first": "-- Why.\nSELECT 1",
        "second": "SELECT 2",
        "third": "SELECT\n  3",
    }


def test_a_name_that_stands_twice_is_refused(package: Path) -> None:
    (package / "a.sql").write_text("-- name: first\nSELECT 1;\n-- name: first\nSELECT 2;\n")

    with pytest.raises(ValueError, match="first"):
        read_queries("sql_of_a_test", "a.sql")


def test_a_migration_is_split_into_single_statements() -> None:
    sql = "-- One; two.\nCREATE TABLE a (x TEXT DEFAULT ';');\nINSERT INTO a\n  VALUES ('b; c');\n"

    statements = _statements(sql)

    assert len(statements) == 2
    connection = sqlite3.connect(":memory:")
    for statement in statements:
        connection.execute(statement)
    assert connection.execute("SELECT x FROM a").fetchall() == [("b; c",)]
    connection.close()
