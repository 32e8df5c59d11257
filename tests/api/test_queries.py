"""Query parameters: every one known, once, and plain; all problems at once; and nothing that was sent comes back."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.conftest import Api

CANARY = "canary-4711"
JSON = {"Content-Type": "application/json"}
GOOD = {"type": "GREET", "payload": {"name": "Ada"}}


def named(problem: dict[str, Any]) -> set[tuple[str, str]]:
    return {(error["pointer"], error["code"]) for error in problem["errors"]}


async def test_all_problems_of_a_query_are_named_at_once(api: Api) -> None:
    answer = await api.client.get("/admin/jobs?status=x&priority=low&queue=No!&limit=0&cursor=x&type=&nope=1&limit=2")
    assert answer.status_code == 400
    assert named(answer.json()) == {
        ("", "unknown_parameter"),
        ("/limit", "duplicate_parameter"),
        ("/status", "one_of"),
        ("/priority", "one_of"),
        ("/queue", "pattern"),
        ("/limit", "range"),
        ("/cursor", "cursor"),
        ("/type", "length"),
    }


@pytest.mark.parametrize(
    ("path", "query", "problem"),
    [
        ("/admin/jobs", "status=", ("/status", "one_of")),
        ("/admin/jobs", "status=failed'--", ("/status", "one_of")),
        ("/admin/jobs", "status=FAILED", ("/status", "one_of")),
        ("/admin/jobs", "priority=0", ("/priority", "one_of")),
        ("/admin/jobs", "type=%00", ("/type", "length")),
        ("/admin/jobs", f"type={'x' * 129}", ("/type", "length")),
        ("/admin/jobs", "limit=", ("/limit", "range")),
        ("/admin/jobs", "limit=1_0", ("/limit", "range")),
        ("/admin/jobs", "limit=%2B5", ("/limit", "range")),
        ("/admin/jobs", "limit=%EF%BC%95", ("/limit", "range")),
        ("/admin/jobs", f"limit={'9' * 5000}", ("/limit", "range")),
        ("/admin/failed", "status=queued", ("/status", "one_of")),
        ("/admin/dlq", "status=dead", ("", "unknown_parameter")),
        ("/admin/jobs", "&".join(f"a{n}=" for n in range(33)), ("", "too_many")),
        ("/admin/stats", "x", ("", "unknown_parameter")),
        ("/admin/workers", "x", ("", "unknown_parameter")),
        ("/admin/queues", "x", ("", "unknown_parameter")),
    ],
)
async def test_a_bad_parameter_is_named(api: Api, path: str, query: str, problem: tuple[str, str]) -> None:
    answer = await api.client.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert named(answer.json()) == {problem}


def encoded(data: bytes) -> str:
    return quote(base64.urlsafe_b64encode(data).decode())


@pytest.mark.parametrize(
    "cursor", ["", "x", "%FF", "=" * 40, encoded(b"x" * 36), encoded(b"\xff" * 36), encoded(b"' OR 1=1--"), "a" * 5000]
)
async def test_a_cursor_that_no_page_gave_is_refused(api: Api, cursor: str) -> None:
    answer = await api.client.get(f"/admin/jobs?cursor={cursor}")
    assert (answer.status_code, named(answer.json())) == (400, {("/cursor", "cursor")})


@pytest.mark.parametrize("wait", ["", "nan", "inf", "1e1", "-0", "+1", " 1", "1.", ".5", "60.01", "0x1", "99999999999"])
async def test_a_wait_is_plain_seconds(api: Api, wait: str) -> None:
    answer = await api.client.get(f"/jobs/{await api.submit()}", params={"wait": wait})
    assert (answer.status_code, named(answer.json())) == (400, {("/wait", "range")})


@pytest.mark.parametrize("path", ["/jobs", "/jobs/batch"])
async def test_a_submission_takes_no_parameters(api: Api, path: str) -> None:
    body = GOOD if path == "/jobs" else {"jobs": [GOOD]}
    answer = await api.client.post(f"{path}?priority=high", json=body)
    assert (answer.status_code, named(answer.json())) == (400, {("", "unknown_parameter")})
    assert (await api.client.post(f"{path}?", json=body)).status_code == 201
    assert await api.rows() == 1


@pytest.mark.parametrize(
    ("method", "path", "kwargs"),
    [
        ("GET", f"/{CANARY}", {}),
        ("GET", f"/jobs/{CANARY}", {}),
        ("GET", f"/jobs/{CANARY}/result", {}),
        ("POST", f"/admin/queues/{CANARY}/pause", {}),
        ("GET", f"/admin/jobs?status={CANARY}&cursor={CANARY}&limit={CANARY}&queue={CANARY}%20", {}),
        ("GET", f"/admin/jobs?{CANARY}={CANARY}", {}),
        ("POST", "/jobs", {"json": {"type": CANARY, "payload": {}}}),
        ("POST", "/jobs", {"json": {**GOOD, "priority": CANARY, "queue": CANARY, "runAt": CANARY}}),
        ("POST", "/jobs", {"json": {**GOOD, "payload": {"name": [CANARY], "times": CANARY}}}),
        ("POST", "/jobs", {"content": f'{{"{CANARY}": {CANARY}'.encode(), "headers": JSON}),
        ("POST", "/jobs", {"content": b"{}", "headers": {"Content-Type": CANARY}}),
        ("POST", "/jobs", {"json": GOOD, "headers": {"Idempotency-Key": f"{CANARY} {CANARY}"}}),
        ("POST", "/admin/queues/default/pause", {"headers": {"Origin": f"http://{CANARY}"}}),
        ("GET", "/live", {"headers": {"Host": CANARY}}),
        ("PUT", "/jobs", {"content": CANARY}),
    ],
)
async def test_nothing_that_was_sent_comes_back(api: Api, method: str, path: str, kwargs: dict[str, Any]) -> None:
    answer = await api.client.request(method, path, **kwargs)
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)
    assert await api.rows() == 0
