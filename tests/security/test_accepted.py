"""The rows of the matrix that are taken: strange, legal, and given back, run and shown as they came."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import pytest

from tests.security.matrix_envelope import GOOD, payload_with
from tests.security.row import JSON, UNKNOWN_ID
from tests.security.target import KEYS, LOGIN, Target

MIB = 1024 * 1024


def submit(target: Target, body: bytes, headers: dict[str, str] | None = None) -> str:
    answer = target.send("POST", "/jobs", content=body, headers={**JSON, **(headers or {})})
    assert answer.status_code == 201, answer.text
    job_id = str(answer.json()["jobId"])
    assert answer.headers["location"] == f"/jobs/{job_id}"
    return job_id


def payload_of(target: Target, job_id: str) -> str:
    """The payload's text as it is given back."""
    answer = target.send("GET", f"/jobs/{job_id}?include=payload")
    return str(answer.text.partition('"payload":')[2][:-1])


def export(target: Target, rows: Any, **members: Any) -> tuple[dict[str, Any], httpx.Response]:
    body = json.dumps({"type": "CSV_EXPORT", "payload": {"data": rows, **members}}).encode()
    job_id = submit(target, body)
    job = finish(target, job_id)
    return job, target.send("GET", f"/jobs/{job_id}/result")


def finish(target: Target, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = target.send("GET", f"/jobs/{job_id}?wait=60").json()
    assert job["status"] == "completed", job
    return job


@pytest.mark.parametrize("number", ["-0", "1.0", "1E2", "0.1", "9007199254740991", "1e308", "-0.0"])
def test_i023_numbers_come_back_equal(dev: Target, number: str) -> None:
    given = json.loads(payload_of(dev, submit(dev, payload_with(number.encode()))))
    assert given == {"data": [{"a": json.loads(number)}]}


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f600",
        "\u202eabc",
        "e\u0301",
        "a\u2028b\u2029c",
        "\ufeffx",
        "<script>alert(1)</script>",
        "\x7f\x85",
        "\\u0000",
    ],
    ids=ascii,
)
def test_i026_text_comes_back_equal_whether_it_was_escaped_or_not(dev: Target, text: str) -> None:
    for ascii_only in (True, False):
        body = payload_with(json.dumps(text, ensure_ascii=ascii_only).encode())
        assert json.loads(payload_of(dev, submit(dev, body))) == {"data": [{"a": text}]}


def test_i032_a_body_of_exactly_the_limit_is_taken(dev: Target) -> None:
    submit(dev, GOOD + b" " * (10 * MIB - len(GOOD)))


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=UTF-8"},
        {"Content-Type": 'Application/JSON;charset="utf-8"'},
        {"Accept": "text/html"},
        {"Accept": "application/xml;q=1, */*;q=0"},
        {"X-Forwarded-For": "10.0.0.1", "X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/admin/jobs"},
    ],
    ids=str,
)
def test_i038_i039_spellings_and_fields_that_decide_nothing_are_taken(dev: Target, headers: dict[str, str]) -> None:
    submit(dev, GOOD, headers)


def test_i049_i050_i052_a_key_means_one_body_of_one_caller(dev: Target) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = submit(dev, b'{"type":"CSV_EXPORT","payload":{"data":[{"a":1,"b":2}]}}', key)
    again = dev.send(
        "POST",
        "/jobs",
        content=b'{ "payload": {"data": [{"b": 2, "a": 1}]},\n"type": "CSV_EXPORT" }',
        headers={**JSON, **key},
    )
    assert (again.status_code, again.json()["jobId"], again.headers["idempotency-replayed"]) == (200, first, "true")
    other = dev.send("POST", "/jobs", content=GOOD, headers={**JSON, **key})
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert submit(dev, GOOD, {**key, "Authorization": f"Bearer {KEYS[1]}"}) != first


def test_i062_no_rows_make_an_empty_file(dev: Target) -> None:
    job, file = export(dev, [])
    assert (job["result"]["rows"], file.content) == (0, b"")


def test_i063_i067_i068_i071_what_is_written_is_read_back_by_another_reader(dev: Target) -> None:
    rows = [
        {"a": 'say "hi"', "": "no name"},
        {"b": "x,y;z", "a": "two\r\nlines\rand\nmore"},
        {"=head": True, "a": None, "b": False, "head\n2": 1.5, 'q"': {"deep": [1, None]}},
    ]
    _, file = export(dev, rows)
    header, *cells = csv.reader(io.StringIO(file.content.decode(), newline=""), strict=True)
    assert header == ["a", "", "b", "'=head", "head\n2", 'q"']
    assert cells == [
        ['say "hi"', "no name", "", "", "", ""],
        ["two\r\nlines\rand\nmore", "", "x,y;z", "", "", ""],
        ["", "", "false", "true", "1.5", '{"deep":[1,null]}'],
    ]


def test_i066_s27_no_text_is_a_formula_to_whoever_opens_the_file(dev: Target) -> None:
    dangerous = [
        "=1+1",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1",
        "\uff20x",
        " =1",
        "\ufeff=1",
        '"=1',
        "+cmd",
        "-cmd|' /C'!A0",
    ]
    harmless = ["-5", "+49 30 1", "-1.5e3", "a=b", "'x", "1-2"]
    _, file = export(dev, [{"a": text} for text in dangerous + harmless] + [{"a": -5}])
    _, *cells = csv.reader(io.StringIO(file.content.decode(), newline=""), strict=True)
    assert [cell for [cell] in cells] == ["'" + text for text in dangerous] + harmless + ["-5"]


def test_i075_a_cell_of_900_kb_is_exact(dev: Target) -> None:
    _, file = export(dev, [{"a": "ü" * 450_000}])
    assert file.content.decode() == "a\r\n" + "ü" * 450_000 + "\r\n"


def test_i077_i086_i088_what_arrives_is_one_message_with_our_headers_and_their_text(dev: Target) -> None:
    subject = "Grüße \U0001f600 " + "s" * 480
    body = "<script>alert(1)</script>\r\n.\r\nRCPT TO:<victim@example.org>\r\n\n.\n"
    payload = {"to": ["ada@example.com", "bob@ex\u00e4mple.org"], "subject": subject, "body": body}
    job_id = submit(dev, json.dumps({"type": "EMAIL_SEND", "payload": payload}).encode())
    finish(dev, job_id)

    found = dev.stack.client.get(f"{dev.stack.mail_url}/api/v2/messages").json()["items"]
    [message] = [item for item in found if job_id in item["Content"]["Headers"]["Message-ID"][0]]
    assert message["Raw"]["To"] == ["ada@example.com", "bob@xn--exmple-cua.org"]
    assert message["Content"]["Headers"]["Subject"] == [subject]
    assert message["Content"]["Headers"].keys() & {"Bcc", "Cc", "Reply-To", "Sender"} == set()
    assert all("victim" not in address for item in found for address in item["Raw"]["To"])


def test_i092_i115_i116_a_job_and_its_file_are_shown_as_promised(dev: Target) -> None:
    job, file = export(dev, [{"a": 1}])
    assert {"id", "type", "status", "priority", "attempts", "result", "error", "createdAt", "updatedAt"} <= job.keys()
    assert file.headers["content-disposition"] == f'attachment; filename="{job["id"]}.csv"'
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert file.headers["x-content-type-options"] == "nosniff"
    path = dev.stack.output / f"{job['id']}.csv"
    path.unlink()
    assert dev.send("GET", f"/jobs/{job['id']}/result").status_code == 410
    path.symlink_to("/etc/passwd")
    answer = dev.send("GET", f"/jobs/{job['id']}/result")
    assert (answer.status_code, "root" in answer.text) == (410, False)


def test_i095_an_id_in_capitals_is_the_same_id(dev: Target) -> None:
    job_id = submit(dev, GOOD)
    assert dev.send("GET", f"/jobs/{job_id.upper()}").json()["id"] == job_id


def test_i100_conditions_and_ranges_mean_nothing_for_a_job(dev: Target) -> None:
    job_id = submit(dev, GOOD)
    answer = dev.send("GET", f"/jobs/{job_id}", headers={"Range": "bytes=0-1", "If-None-Match": "*"})
    assert (answer.status_code, answer.json()["id"]) == (200, job_id)


def test_i120_what_is_done_is_not_done_again(dev: Target) -> None:
    job_id = submit(dev, GOOD)
    finish(dev, job_id)
    for verb in ("retry", "dlq", "cancel"):
        answer = dev.send("POST", f"/admin/jobs/{job_id}/{verb}")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/invalid-state")


def test_i129_a_small_body_where_none_is_taken_is_ignored(dev: Target) -> None:
    answer = dev.send("POST", f"/admin/jobs/{UNKNOWN_ID}/retry", content=b"{}" + b" " * 1022)
    assert answer.status_code == 404


def test_i105_the_login_is_taken_in_any_spelling_of_its_scheme(dev: Target) -> None:
    encoded = next(httpx.BasicAuth(*LOGIN).auth_flow(httpx.Request("GET", "http://x"))).headers["authorization"]
    for scheme in ("Basic", "basic", "BASIC"):
        answer = dev.send("GET", "/admin/stats", headers={"Authorization": encoded.replace("Basic", scheme)})
        assert answer.status_code == 200
