"""What a web application does with a running stack."""

from __future__ import annotations

import csv
import io
import uuid

from tests.integration.conftest import Stack


def test_it_is_healthy(stack: Stack) -> None:
    answer = stack.client.get("/health")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["checks"].values()) == {"ok"}
    assert stack.client.get("/live").status_code == 200


def test_an_export_is_a_file_in_the_output_folder_and_an_answer(stack: Stack) -> None:
    rows = [{"id": 1, "name": 'Zoë "Z"', "note": "a,b"}, {"id": 2, "name": "=1+1", "note": None}]

    job = stack.finish(stack.submit("CSV_EXPORT", {"data": rows}, priority="high"))

    assert job["status"] == "completed", job
    answer = stack.client.get(f"/jobs/{job['id']}/result")
    assert answer.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["id", "name", "note"],
        ["1", 'Zoë "Z"', "a,b"],
        ["2", "'=1+1", ""],
    ]
    assert (stack.output / f"{job['id']}.csv").read_bytes() == answer.content


def test_an_email_arrives_once(stack: Stack, mark: str) -> None:
    payload = {"to": "ada@example.com", "subject": f"Grüße {mark}", "body": "It works."}

    job = stack.finish(stack.submit("EMAIL_SEND", payload))

    assert job["status"] == "completed", job
    items = stack.mailbox.get("/api/v2/messages").json()["items"]
    [mail] = [item for item in items if item["Content"]["Headers"]["Subject"] == [payload["subject"]]]
    assert mail["To"][0]["Mailbox"] == "ada"
    assert "It works." in mail["Content"]["Body"]
    assert payload["subject"] in stack.mailbox.get("/").text


def test_many_jobs_in_one_request_all_run(stack: Stack) -> None:
    jobs = [{"type": "CSV_EXPORT", "payload": {"data": [{"n": n}]}} for n in range(50)]
    answer = stack.client.post("/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 201, answer.text
    for n, job_id in enumerate(answer.json()["jobIds"]):
        assert stack.finish(job_id)["status"] == "completed"
        assert (stack.output / f"{job_id}.csv").read_bytes() == f"n\r\n{n}\r\n".encode()


def test_the_same_key_is_the_same_job(stack: Stack, mark: str) -> None:
    body = {"type": "CSV_EXPORT", "payload": {"data": []}}
    first, again = (stack.client.post("/jobs", json=body, headers={"Idempotency-Key": mark}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()


def test_bad_input_is_refused_with_every_problem(stack: Stack) -> None:
    answer = stack.client.post("/jobs", json={"type": "NO_SUCH_TYPE", "priority": "low"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.json()["errors"]) >= 2
    assert stack.client.get(f"/jobs/{uuid.uuid4()}").status_code == 404


def test_a_name_that_was_bent_to_this_machine_is_not_answered(stack: Stack) -> None:
    assert stack.client.get("/live", headers={"Host": "evil.example"}).status_code == 421
    assert stack.mailbox.get("/", headers={"Host": "evil.example"}).status_code == 403


def test_the_names_that_containers_use_are_answered(stack: Stack) -> None:
    assert stack.client.get("/live", headers={"Host": "api:3000"}).status_code == 200
    assert stack.mailbox.get("/", headers={"Host": "mailhog:8025"}).status_code == 200
