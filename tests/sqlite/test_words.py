"""Words: the statuses that stand literally in SQL are those of ``states.py``, and each stands where it belongs."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from treadle.ids import new_job_id
from treadle.states import FINAL, Actor, Status, Verb, sources_of, target_of
from treadle.store.migrate import read_migrations
from treadle.store.sqlite.reading import _ABOVE_ALL
from treadle.store.sqlite.writing import SQL

MIGRATION = "\n".join(migration.sql for migration in read_migrations("treadle.store.sqlite.migrations"))
FILES = {
    entry.name: entry.read_text("utf-8")
    for entry in resources.files("treadle.store.sqlite.sql").iterdir()
    if entry.name.endswith(".sql")
}
WORD = re.compile(r"'([a-z_]+)'")


def words(sql: str) -> set[str]:
    """The words in quotes of ``sql`` without its comments."""
    return set(WORD.findall(re.sub(r"--.*", "", sql)))


def words_in(sql: str, opening: str) -> set[str]:
    """The words of the list that begins behind ``opening``."""
    return words(sql[sql.index(opening) :].split(")")[0])


PROMOTED = {status.value for status in sources_of(Verb.PROMOTE, Actor.PROMOTER)}
CLAIMED = {status.value for status in sources_of(Verb.CLAIM, Actor.WORKER)}
RUNNING = {target_of(Verb.CLAIM).value}


@pytest.mark.parametrize("text", [*FILES.values(), MIGRATION], ids=[*FILES, "migration"])
def test_every_quoted_word_is_a_status(text: str) -> None:
    assert words(text) <= {status.value for status in Status} | {"null"}, "null: JSON, of a payload kept elsewhere"


def test_the_table_takes_exactly_the_statuses_there_are() -> None:
    assert words_in(MIGRATION, "status TEXT NOT NULL CHECK") == {status.value for status in Status}


def test_the_table_knows_which_statuses_are_final() -> None:
    assert words_in(MIGRATION, "CHECK ((status IN (") == {status.value for status in FINAL}


def test_the_indexes_hold_what_their_verbs_start_from() -> None:
    indexes = dict(re.findall(r"CREATE INDEX (\w+) ON jobs \([^)]*\) WHERE ([^;]+);", MIGRATION))

    assert {name: words(condition) for name, condition in indexes.items()} == {
        "jobs_queued": CLAIMED,
        "jobs_due": PROMOTED,
        "jobs_processing": RUNNING,
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ready_queues", CLAIMED),
        ("scan_line", CLAIMED),
        ("claimable_line", CLAIMED),
        ("depth", CLAIMED),
        ("due", PROMOTED),
        ("next_due", PROMOTED),
        ("held", RUNNING),
        ("orphans", RUNNING),
        ("running", RUNNING),
        ("prune_workers", RUNNING),
        ("settle", {target_of(Verb.RELEASE).value}),
    ],
)
def test_a_query_names_the_statuses_of_its_index(query: str, expected: set[str]) -> None:
    assert words(SQL[query]) == expected


def test_no_other_query_names_a_status() -> None:
    named = {name for name, sql in SQL.items() if words(sql)}

    assert named == {
        "ready_queues",
        "scan_line",
        "claimable_line",
        "depth",
        "due",
        "next_due",
        "held",
        "orphans",
        "running",
        "prune_workers",
        "settle",
    }


def test_every_id_stands_below_the_mark_that_pages_begin_at() -> None:
    assert new_job_id() < _ABOVE_ALL
    assert _ABOVE_ALL > "ffffffff-ffff-ffff-ffff-ffffffffffff"
