"""Both clients against a real server."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.client.conftest import KEY, Face, NewFace
from tests.flow.stack import Stack, free_ports
from treadle import (
    Conflict,
    InvalidInput,
    JobDraft,
    KeyReused,
    NotFinished,
    NotFound,
    Status,
    Unauthorized,
    Unavailable,
)
from treadle.ids import new_job_id

ROWS = {"data": [{"name": "Zoë", "born": 1815}, {"name": "Ada", "born": None}]}
LATER = {"delay_seconds": 3600}


def test_a_job_is_submitted_waited_for_and_its_file_fetched(face: Face, tmp_path: Path) -> None:
    job_id = face.submit("CSV_EXPORT", ROWS, priority="high")
    job = face.wait(job_id, 30)
    assert (job.id, job.status, job.priority, job.is_final) == (job_id, Status.COMPLETED, "high", True)

    content = face.result(job_id)
    assert list(csv.reader(io.StringIO(content.decode()))) == [["name", "born"], ["Zoë", "1815"], ["Ada", ""]]
    assert face.save_result(job_id, tmp_path / "all.csv") == len(content)
    assert (tmp_path / "all.csv").read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["all.csv"]


def test_many_jobs_are_submitted_in_order(face: Face) -> None:
    ids = face.submit_many(JobDraft("CSV_EXPORT", {"data": [{"n": n}]}) for n in range(50))
    assert len(set(ids)) == 50
    assert face.wait(ids[7], 30).is_final
    assert face.result(ids[7]) == b"n\r\n7\r\n"


def test_problems_come_back_whole_and_with_their_pointers(face: Face) -> None:
    with pytest.raises(InvalidInput) as refused:
        face.submit("CSV_EXPORT", {"data": [], "more": 1}, queue="nowhere", max_attempts=99)
    assert {"/payload/more", "/queue", "/maxAttempts"} <= {problem.pointer for problem in refused.value.problems}
    with pytest.raises(InvalidInput) as refused:
        face.submit_many([JobDraft("CSV_EXPORT", ROWS), JobDraft("NO_SUCH", {})])
    assert [problem.pointer for problem in refused.value.problems] == ["/jobs/1/type"]


@pytest.mark.parametrize(
    ("draft", "pointer"),
    [
        (JobDraft("CSV_EXPORT", {"data": float("nan")}), "/payload"),
        (JobDraft("CSV_EXPORT", object()), "/payload"),
        (JobDraft("CSV_EXPORT", {"a": "\ud800"}), "/payload"),
        (JobDraft("CSV_EXPORT", {}, run_at=datetime(2030, 1, 1)), "/runAt"),  # noqa: DTZ001  (what is refused)
        (JobDraft("CSV_EXPORT", {}, run_at="soon"), "/runAt"),  # type: ignore[arg-type]
        (JobDraft(object(), {}), "/type"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_json_is_refused_before_it_is_sent(new_face: NewFace, draft: JobDraft, pointer: str) -> None:
    [port] = free_ports(1)
    face = new_face(f"http://127.0.0.1:{port}")
    with pytest.raises(InvalidInput) as refused:
        face.submit_many([draft])
    assert [problem.pointer for problem in refused.value.problems] == [f"/jobs/0{pointer}"]


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 256, 5])
def test_a_key_that_no_header_could_carry_is_refused(face: Face, key: str) -> None:
    with pytest.raises(InvalidInput):
        face.submit("CSV_EXPORT", ROWS, idempotency_key=key)


def test_a_key_makes_one_job_and_refuses_another_body(face: Face) -> None:
    key = new_job_id()
    first = face.submit("CSV_EXPORT", ROWS, idempotency_key=key)
    assert face.submit("CSV_EXPORT", ROWS, idempotency_key=key) == first
    assert face.submit("CSV_EXPORT", ROWS) != first
    with pytest.raises(KeyReused):
        face.submit("CSV_EXPORT", {"data": []}, idempotency_key=key)


def test_unknown_ids_and_wrong_states_have_their_errors(face: Face) -> None:
    for job_id in (new_job_id(), "no-id", "../admin/jobs", ""):
        for method in (face.get, face.wait, face.result, face.cancel, face.inspect, face.retry, face.bury):
            with pytest.raises(NotFound):
                method(job_id)
    waiting = face.submit("CSV_EXPORT", ROWS, **LATER)
    for method in (face.result, face.retry, face.bury):
        with pytest.raises(Conflict):
            method(waiting)
    assert face.cancel(waiting) is Status.CANCELLED
    with pytest.raises(Conflict):
        face.cancel(waiting)


def test_a_wait_ends_when_its_time_is_up(face: Face) -> None:
    waiting = face.submit("CSV_EXPORT", ROWS, **LATER)
    assert face.get(waiting, payload=True, wait_seconds=0.05).payload == ROWS
    with pytest.raises(TimeoutError) as ended:
        face.wait(waiting, 0.05)
    assert isinstance(ended.value, NotFinished)
    with pytest.raises(InvalidInput):
        face.wait(waiting, -1)
    with pytest.raises(InvalidInput):
        face.get(waiting, wait_seconds=61)


def test_a_file_that_cannot_be_had_leaves_nothing_and_spoils_nothing(face: Face, tmp_path: Path) -> None:
    job_id = face.submit("CSV_EXPORT", ROWS, **LATER)
    kept = tmp_path / "kept.csv"
    kept.write_text("mine")
    with pytest.raises(Conflict):
        face.save_result(job_id, kept)
    with pytest.raises(OSError, match="No such file"):
        face.save_result(job_id, tmp_path / "no" / "folder.csv")
    assert kept.read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["kept.csv"]


def test_operators_list_inspect_retry_and_bury(face: Face) -> None:
    job_id = face.submit("CSV_EXPORT", ROWS, **LATER)
    assert face.inspect(job_id).payload == ROWS
    face.cancel(job_id)
    page = face.list_jobs(status="cancelled", type="CSV_EXPORT", limit=1)
    assert [job.id for job in page.jobs] == [job_id]
    assert face.retry(job_id) is Status.QUEUED
    assert face.wait(job_id, 30).status is Status.COMPLETED
    with pytest.raises(InvalidInput):
        face.list_jobs(limit=0)


def test_a_failed_job_is_buried(face: Face) -> None:
    job_id = face.submit("FAILING", {})
    assert face.wait(job_id, 30).status is Status.FAILED
    assert face.bury(job_id) is Status.DEAD


def test_wrong_keys_and_logins_are_told_as_such(new_face: NewFace, stack: Stack) -> None:
    nobody = new_face(stack.url)
    with pytest.raises(Unauthorized, match="API key"):
        nobody.submit("CSV_EXPORT", ROWS)
    with pytest.raises(Unauthorized, match="login"):
        new_face(stack.url, key=KEY).list_jobs()
    with pytest.raises(Unauthorized):
        new_face(stack.url, key=KEY, admin=("admin", "wrong")).list_jobs()


def test_a_server_that_is_not_there_is_unavailable(new_face: NewFace) -> None:
    [port] = free_ports(1)
    face = new_face(f"http://127.0.0.1:{port}", retry_seconds=0)
    with pytest.raises(Unavailable, match="no connection"):
        face.submit("CSV_EXPORT", ROWS)


@pytest.mark.parametrize(
    "given",
    [
        {"url": "127.0.0.1:3000"},
        {"url": "ftp://x"},
        {"url": ""},
        {"url": "http://"},
        {"url": "http://a:b@host"},
        {"url": "http://host/?a=1"},
        {"url": "http://host/#a"},
        {"url": "http://[::1"},
        {"url": None},
        {"url": "http://host", "key": "a\nb"},
        {"url": "http://host", "timeout_seconds": 0},
    ],
)
def test_what_no_client_can_be_made_of_is_named(new_face: NewFace, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        new_face(**given)


class Rows(msgspec.Struct):
    data: list[dict[str, int]]


def test_a_model_is_a_payload(face: Face) -> None:
    assert face.wait(face.submit("CSV_EXPORT", Rows([{"n": 1}])), 30).status is Status.COMPLETED


def test_operators_delete_and_erase_what_is_final(face: Face, stack: Stack) -> None:
    done, waiting = face.submit("CSV_EXPORT", ROWS), face.submit("CSV_EXPORT", ROWS, **LATER)
    face.wait(done, 30)
    for method in (face.delete, face.erase):
        with pytest.raises(Conflict):
            method(waiting)
        with pytest.raises(NotFound):
            method(new_job_id())

    assert face.erase(done) is Status.COMPLETED
    job = face.inspect(done)
    assert (job.payload, job.result) == ({}, None)
    assert job.erased_at is not None
    assert (stack.output / f"{done}.csv").exists()
    assert face.delete(done, files=True) == 1
    assert not (stack.output / f"{done}.csv").exists()
    with pytest.raises(NotFound):
        face.get(done)
    face.cancel(waiting)
    assert face.delete(waiting) == 0
