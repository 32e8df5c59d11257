"""``treadle check`` and ``treadle backup`` as a person meets them, beside a running server and without one."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.flow.conftest import NewStack
from tests.flow.test_commands import treadle
from treadle.store.invariants import INVARIANTS


def test_a_sound_database_passes_beside_its_server_and_a_broken_one_is_exit_1(new_stack: NewStack) -> None:
    stack = new_stack()
    process = stack.start("dev")
    job_id = stack.submit("CSV_EXPORT", {"data": []})
    stack.finish(job_id)

    done = treadle("check", cwd=stack.folder, settings=stack.where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "all invariants hold" in done.stdout
    assert all(name in done.stdout for name in INVARIANTS)

    stack.stop(process)
    stack.change("UPDATE jobs SET queue = 'nowhere'")
    done = treadle("check", "--json", cwd=stack.folder, settings=stack.where)
    told = {check["name"]: check["violations"] for check in json.loads(done.stdout)}
    assert done.returncode == 1
    assert {name: ids for name, ids in told.items() if ids} == {"queue_undeclared": [job_id]}
    assert "BROKEN" in treadle("check", cwd=stack.folder, settings=stack.where).stdout

    stack.change("UPDATE jobs SET queue = 'default'")  # as it was, for the check at the end of every stack


@pytest.mark.only_on("sqlite", reason="elsewhere the server's own tools copy a database")
def test_a_backup_of_a_running_stack_is_a_database_to_start_from(new_stack: NewStack) -> None:
    stack, second = new_stack(), new_stack()
    stack.start("dev")
    waiting = stack.submit("CSV_EXPORT", {"data": []}, delaySeconds=3600)

    done = treadle("backup", "copy.db", cwd=stack.folder, settings=stack.where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "checked" in done.stdout
    again = treadle("backup", "copy.db", cwd=stack.folder, settings=stack.where)
    assert (again.returncode, again.stderr.count("\n")) == (78, 1)

    second.database.parent.mkdir()
    (stack.folder / "copy.db").rename(second.database)
    second.start("dev")
    assert second.job(waiting)["status"] == "scheduled"


@pytest.mark.only_on("postgres", reason="the words are for who keeps jobs in PostgreSQL")
@pytest.mark.parametrize(
    ("command", "words"), [(("check",), "treadle migrate"), (("backup", "copy.db"), "use its own pg_dump")]
)
def test_an_empty_database_is_not_set_up_and_no_postgres_is_copied(
    tmp_path: Path, rung_settings: dict[str, str], command: tuple[str, ...], words: str
) -> None:
    done = treadle(*command, cwd=tmp_path, settings=rung_settings)
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert words in done.stderr
    with psycopg.connect(rung_settings["DATABASE_URL"]) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").fetchone()
    assert found == (0,)


@pytest.mark.parametrize("command", [("check",), ("backup", "copy.db")])
def test_nothing_is_made_where_no_database_is(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = treadle(*command, cwd=tmp_path)
    assert done.returncode == 78
    assert "there is no database at data/treadle.db" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("check",), ("backup", "copy.db")])
def test_what_is_no_database_is_told_in_a_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "treadle.db").write_bytes(b"dear to somebody" * 1000)
    done = treadle(*command, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n"), "Traceback" in done.stderr) == (78, 1, False)
    assert not (tmp_path / "copy.db").exists()


def test_a_backup_without_a_target_is_wrong_usage(tmp_path: Path) -> None:
    assert treadle("backup", cwd=tmp_path).returncode == 2
