"""Words: the statuses that stand literally in SQL are those of ``states.py``, and each stands where it belongs."""

from __future__ import annotations

import re

import pytest

from treadle.queue import PRIORITY_BY_LABEL
from treadle.states import FINAL, Actor, Status, Verb, sources_of, target_of
from treadle.store.migrate import read_migrations
from treadle.store.postgres.reading import _PAGE_QUERIES
from treadle.store.postgres.statement import SQL, statement

MIGRATION = "\n".join(migration.sql for migration in read_migrations("treadle.store.postgres.migrations"))
WORD = re.compile(r"'([a-z_]+)'")
STATUSES = {status.value for status in Status}
OTHER_WORDS = {
    *("synchronous_commit", "off"),
    *("lock_timeout", "server_encoding", "transaction_read_only", "block_size", "jobs"),
    *("infinity", "hex", "invalid_parameter_value", "object"),  # of treadle_submit
    *("message", "traceback", "null"),  # of a kept error, when it is erased
}

PROMOTED = {status.value for status in sources_of(Verb.PROMOTE, Actor.PROMOTER)}
QUEUED = {status.value for status in sources_of(Verb.CLAIM, Actor.WORKER)}
RUNNING = {target_of(Verb.CLAIM).value}
ENDED = {status.value for status in FINAL}
COMPLETED = {target_of(Verb.COMPLETE).value}


def words(sql: str) -> set[str]:
    """The words in quotes of ``sql`` without its comments, priorities and names of settings left out."""
    return set(WORD.findall(re.sub(r"--.*", "", sql))) - OTHER_WORDS - PRIORITY_BY_LABEL.keys()


def words_in(sql: str, opening: str) -> set[str]:
    """The words of the list that begins behind ``opening``."""
    return words(sql[sql.index(opening) :].split(")")[0])


def test_every_quoted_word_is_a_status() -> None:
    assert words(MIGRATION) | {word for sql in SQL.values() for word in words(sql.text)} <= STATUSES


def test_the_table_takes_exactly_the_statuses_there_are() -> None:
    assert words_in(MIGRATION, "NOT NULL CHECK (status IN") == STATUSES


def test_the_table_knows_which_statuses_are_final() -> None:
    assert words_in(MIGRATION, "CHECK ((status IN (") == ENDED


def test_the_indexes_hold_what_their_verbs_start_from() -> None:
    indexes = dict(re.findall(r"CREATE INDEX (\w+) ON jobs \([^)]*\) WHERE ([^;]+);", MIGRATION))

    assert {name: words(condition) for name, condition in indexes.items()} == {
        "jobs_queued": QUEUED,
        "jobs_due": PROMOTED,
        "jobs_processing": RUNNING,
        "jobs_status": STATUSES - QUEUED - RUNNING - COMPLETED,
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("insert", QUEUED | {"scheduled"}),
        ("insert_keyed", QUEUED | {"scheduled"}),
        ("claim", QUEUED | RUNNING),
        ("claim_scan", QUEUED | RUNNING),
        ("settle", RUNNING | {target_of(Verb.RELEASE).value}),
        ("note", RUNNING),
        ("promote_due", PROMOTED | QUEUED),
        ("cancel", RUNNING),
        ("orphans", RUNNING),
        ("orphans_of", RUNNING),
        ("beat", RUNNING),
        ("prune_workers", RUNNING),
        ("prune_final", ENDED - COMPLETED),
        ("prune_completed", COMPLETED),
        ("page_status", STATUSES - QUEUED - RUNNING - COMPLETED),
        ("page_live", QUEUED | RUNNING),
        ("counts", STATUSES),
        ("counts_few", STATUSES - QUEUED - COMPLETED),
        ("lines", QUEUED),
        ("queues", QUEUED | RUNNING),
    ],
)
def test_a_statement_names_the_statuses_it_is_about(name: str, expected: set[str]) -> None:
    assert words(SQL[name].text) == expected


@pytest.mark.parametrize("name", _PAGE_QUERIES)
def test_a_page_is_asked_of_a_statement_that_knows_its_statuses(name: str) -> None:
    assert words(SQL[name].text) == {status.value for status in _PAGE_QUERIES[name]}


@pytest.mark.parametrize("name", ["claim", "settle", "note"])
def test_a_statement_that_names_ids_is_opaque_to_partial_indexes(name: str) -> None:
    assert re.search(r"(?<!')status \|\| '' = '", SQL[name].text)
    assert not re.search(r"(AND|WHERE) (job\.)?status (=|IN)", SQL[name].text)


def test_parameters_get_numbers_and_types_keep_their_colons() -> None:
    made = statement("x", "SELECT :b::text[], :a, :b -- not :c\n, array[1][1:2]")

    assert (made.text, made.parameters) == ("SELECT $1::text[], $2, $1 \n, array[1][1:2]", ("b", "a"))
    assert made.arguments({"a": 1, "b": 2, "c": 3}) == [2, 1]
    with pytest.raises(KeyError):
        made.arguments({"a": 1})
