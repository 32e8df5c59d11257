"""Bad input gets a clear 4xx, is never echoed, and leaves no row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.conftest import Api

CANARY = "canary-4711"
GOOD = {"type": "GREET", "payload": {"name": "Ada"}}
JSON = {"Content-Type": "application/json"}

MALFORMED = [
    b"",
    b"{",
    b"nul",
    b'{"type":"GREET",}',
    b"{'type':'GREET'}",
    b"// no\n{}",
    b"{}{}",
    b"{} x",
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b"\xef\xbb\xbf{}",
    b'{"a":"\xff"}',
    '{"type":"GREET"}'.encode("utf-16"),
]

# body, the pointers and codes that must be named
INVALID: list[tuple[bytes, set[tuple[str, str]]]] = [
    (b"{}", {("/type", "required"), ("/payload", "required")}),
    (b"[]", {("", "type")}),
    (b'{"a":1e999}', {("", "number_out_of_range")}),
    (b'{"a":' + b"9" * 400 + b"}", {("", "number_out_of_range")}),
    (b'{"a":9007199254740993}', {("", "number_out_of_range")}),
    (b'{"a":"\\u0000"}', {("", "nul_character")}),
    (b'{"a":"\\ud800"}', {("", "lone_surrogate")}),
    (b'{"a":1,"a":2}', {("", "duplicate_member")}),
    (b"[" * 33 + b"]" * 33, {("", "too_deep")}),
    (b"[" * 100_000, {("", "too_deep")}),
]
CHANGES: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"type": None}, {("/type", "type")}),
    ({"type": ""}, {("/type", "length")}),
    ({"type": " "}, {("/type", "unknown_type")}),
    ({"type": 5}, {("/type", "type")}),
    ({"type": CANARY}, {("/type", "unknown_type")}),
    ({"type": "A" * 10_000}, {("/type", "length")}),
    ({"priority": None}, {("/priority", "type")}),
    ({"priority": "HIGH"}, {("/priority", "one_of")}),
    ({"priority": True}, {("/priority", "type")}),
    ({"payload": None}, {("/payload", "type")}),
    ({"payload": "x"}, {("/payload", "type")}),
    ({"payload": {}}, {("/payload/name", "required")}),
    ({"payload": {"name": 1, "times": CANARY}}, {("/payload/name", "type"), ("/payload/times", "type")}),
    ({"status": "completed", "id": CANARY}, {("/status", "unknown_field"), ("/id", "unknown_field")}),
    ({"maxAttempts": 0}, {("/maxAttempts", "range")}),
    ({"maxAttempts": 26}, {("/maxAttempts", "range")}),
    ({"maxAttempts": 1.5}, {("/maxAttempts", "type")}),
    ({"maxAttempts": "3"}, {("/maxAttempts", "type")}),
    ({"maxAttempts": True}, {("/maxAttempts", "type")}),
    ({"timeoutSeconds": 0}, {("/timeoutSeconds", "range")}),
    ({"timeoutSeconds": 1e9}, {("/timeoutSeconds", "range")}),
    ({"runAt": "2030-01-01T00:00:00"}, {("/runAt", "date_time")}),
    ({"runAt": "2030-13-01T00:00:00Z"}, {("/runAt", "date_time")}),
    ({"runAt": "2030-01-01T00:00:00Z", "delaySeconds": 1}, {("/delaySeconds", "conflict")}),
    ({"delaySeconds": -1}, {("/delaySeconds", "range")}),
    ({"queue": "No Such!"}, {("/queue", "pattern")}),
    ({"queue": "high_priority"}, {("/queue", "pattern")}),
    ({"queue": "nobody-names-it"}, {("/queue", "unknown_queue")}),
    (
        {"type": "NO", "payload": 1, "priority": 1, "maxAttempts": 0},
        {("/payload", "type"), ("/priority", "type"), ("/maxAttempts", "range"), ("/type", "unknown_type")},
    ),
]


def named(problem: dict[str, Any]) -> set[tuple[str, str]]:
    assert {"type", "title", "status", "detail", "instance", "errors", "error"} <= problem.keys()
    assert problem["error"] == problem["detail"]
    return {(error["pointer"], error["code"]) for error in problem["errors"]}


@pytest.mark.parametrize("body", MALFORMED)
async def test_what_is_no_json_is_malformed(api: Api, body: bytes) -> None:
    answer = await api.client.post("/jobs", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/malformed-json"
    assert await api.rows() == 0


@pytest.mark.parametrize(("body", "problems"), INVALID)
async def test_json_that_could_not_be_kept_equal_is_refused(
    api: Api, body: bytes, problems: set[tuple[str, str]]
) -> None:
    answer = await api.client.post("/jobs", content=body, headers=JSON)
    assert answer.status_code == 400
    assert named(answer.json()) == problems
    assert await api.rows() == 0


@pytest.mark.parametrize(("change", "problems"), CHANGES)
async def test_every_problem_of_a_job_is_named_and_no_value_repeated(
    api: Api, change: dict[str, Any], problems: set[tuple[str, str]]
) -> None:
    answer = await api.client.post("/jobs", json={**GOOD, **change})
    assert answer.status_code == 400
    assert named(answer.json()) == problems
    assert CANARY not in answer.text
    assert await api.rows() == 0


async def test_of_many_unknown_members_the_first_are_named_and_the_rest_of_the_problems_too(api: Api) -> None:
    answer = await api.client.post("/jobs", json={f"x{n}": 1 for n in range(1000)})
    codes = [error["code"] for error in answer.json()["errors"]]
    assert (answer.status_code, codes) == (400, ["unknown_field"] * 20 + ["required"] * 2)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/problem+json", "application/json; charset=latin-1"]
)
async def test_another_media_type_is_a_415(api: Api, content_type: str) -> None:
    answer = await api.client.post("/jobs", content=json.dumps(GOOD), headers={"Content-Type": content_type})
    assert answer.status_code == 415


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; Charset=UTF-8"])
async def test_json_in_any_spelling_is_taken(api: Api, content_type: str) -> None:
    answer = await api.client.post("/jobs", content=json.dumps(GOOD), headers={"Content-Type": content_type})
    assert answer.status_code == 201


async def test_an_encoded_body_and_a_query_are_refused(api: Api) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert (await api.client.post("/jobs", content=b"x", headers=headers)).status_code == 415
    assert (await api.client.post("/jobs?priority=high", json=GOOD)).status_code == 400


def sized(size: int) -> bytes:
    body = json.dumps(GOOD).encode()
    return body + b" " * (size - len(body))


async def streamed(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


async def test_the_body_limit_is_exact_and_counted_while_streaming(api: Api) -> None:
    limit = api.runtime.settings.max_body_bytes
    for content, status in ((sized(limit), 201), (sized(limit + 1), 413)):
        assert (await api.client.post("/jobs", content=content, headers=JSON)).status_code == status
        answer = await api.client.post("/jobs", content=streamed(content), headers=JSON)
        assert answer.status_code == status
    declared = await api.client.post("/jobs", content=b"{}", headers={**JSON, "Content-Length": "10000000000"})
    assert declared.status_code == 413
    assert await api.rows() == 2


@pytest.mark.parametrize(
    "job_id", ["x", "..%2f..%2fetc%2fpasswd", "%00", "%3Cscript%3E", "' OR 1=1--", "0" * 36, "019c0000-0000-4000-8000"]
)
async def test_an_unknown_id_is_a_404_without_reflection(api: Api, job_id: str) -> None:
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/result", f"/admin/jobs/{job_id}"):
        answer = await api.client.get(path)
        assert answer.status_code == 404
        assert "script" not in answer.text


@pytest.mark.parametrize(
    "query",
    ["status=x", "status=failed&status=dead", "status[]=", "limit=0", "limit=201", "limit=1.5", "cursor=x", "nope=1"],
)
async def test_a_bad_query_is_a_400(api: Api, query: str) -> None:
    assert (await api.client.get(f"/admin/jobs?{query}")).status_code == 400


@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=x", "wait=１", "include=secrets"])
async def test_a_bad_wait_or_include_is_a_400(api: Api, query: str) -> None:
    assert (await api.client.get(f"/jobs/{await api.submit()}?{query}")).status_code == 400


async def test_other_methods_are_a_405_with_allow(api: Api) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = await api.client.request(method, "/jobs")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (await api.client.get("/no/such")).status_code == 404
