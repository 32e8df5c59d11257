"""What every request passes, and what every answer carries."""

from __future__ import annotations

import logging

import httpx
import pytest

from tests.api.asgi import GONE, HOST, JSON, call, piece
from tests.api.conftest import Api, NewApi
from treadle.testing import FaultyStore

ALWAYS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
LAN = {"TREADLE_HOST": "0.0.0.0", "TREADLE_OPEN": "1"}


def assert_problem(answer: httpx.Response, status: int, slug: str) -> None:
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/problems/{slug}"
    assert problem["instance"] == f"/requests/{answer.headers['x-request-id']}"
    assert problem["error"] == problem["detail"] != ""


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("GET", "/live", "localhost", 200),
        ("GET", "/admin/stats", "localhost", 200),
        ("HEAD", "/live", "localhost", 200),
        ("GET", "/", "localhost", 404),
        ("GET", "/jobs/x", "localhost", 404),
        ("OPTIONS", "/jobs", "localhost", 405),
        ("POST", "/jobs", "localhost", 415),
        ("GET", "/live", "evil.example", 421),
    ],
)
async def test_every_answer_carries_the_security_headers(
    api: Api, method: str, path: str, host: str, status: int
) -> None:
    answer = await api.client.request(method, path, headers={"Host": host}, content="x" if method == "POST" else None)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS
    assert answer.headers["x-request-id"]
    assert "access-control-allow-origin" not in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/jobs/", "/admin", "/admin/ui/../../etc/passwd", "/.git/config", "/live/"])
async def test_what_is_not_there_is_a_problem(api: Api, path: str) -> None:
    assert_problem(await api.client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/jobs", "POST"),
        ("HEAD", "/jobs", "POST"),
        ("OPTIONS", "/jobs", "POST"),
        ("TRACE", "/jobs", "POST"),
        ("DELETE", "/jobs/x", "GET, HEAD"),
        ("GET", "/jobs/x/cancel", "POST"),
        ("GET", "/admin/jobs/x/retry", "POST"),
        ("POST", "/admin/jobs", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(api: Api, method: str, path: str, allow: str) -> None:
    answer = await api.client.request(method, path)
    assert answer.headers["allow"] == allow
    if method == "HEAD":
        assert (answer.status_code, answer.content) == (405, b"")
    else:
        assert_problem(answer, 405, "method-not-allowed")


async def test_a_sane_request_id_is_kept_and_another_replaced(api: Api) -> None:
    kept = await api.client.get("/live", headers={"X-Request-Id": "web-7.a_B"})
    assert kept.headers["x-request-id"] == "web-7.a_B"
    for insane in ("", "a b", "x" * 129, "<script>", "a/b", "é"):
        made = await api.client.get("/live", headers=[(b"X-Request-Id", insane.encode())])
        assert made.headers["x-request-id"] not in ("", insane)


async def test_request_ids_differ(api: Api) -> None:
    ids = {(await api.client.get("/live")).headers["x-request-id"] for _ in range(50)}
    assert len(ids) == 50


async def test_an_unexpected_error_is_a_500_that_tells_nothing_and_a_log_line_that_tells_all(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    store.refuse("get", error=RuntimeError("SELECT secret FROM /var/lib/canary"))

    answer = await api.client.get("/jobs/019c0000-0000-7000-8000-000000000000", headers={"X-Request-Id": "find-me"})

    assert_problem(answer, 500, "internal-error")
    for secret in ("canary", "SELECT", "RuntimeError", "Traceback"):
        assert secret not in answer.text
    [record] = [r for r in caplog.records if r.name == "treadle.api" and r.levelno == logging.ERROR]
    assert "find-me" in record.getMessage()
    assert record.__dict__["request"] == "find-me"
    assert record.exc_info is not None


async def test_what_an_operator_did_is_logged_with_its_request(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    job_id = await api.submit()
    for request, path in (("first", f"/admin/jobs/{job_id}/cancel"), ("second", "/admin/queues/greetings/pause")):
        assert (await api.client.post(path, headers={"X-Request-Id": request})).status_code == 200
    told = [record.__dict__["request"] for record in caplog.records if "by an operator" in record.getMessage()]
    assert told == ["first", "second"]


async def test_every_answer_has_a_line_for_who_looks_closely(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "treadle.api")
    await api.client.get("/jobs/nowhere", headers={"X-Request-Id": "look"})
    [record] = [record for record in caplog.records if record.__dict__.get("request") == "look"]
    assert record.getMessage() == "GET /jobs/{job_id}: 404"


async def test_a_client_that_leaves_while_its_body_is_read_makes_no_log_line_and_no_row(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    told = await call(api.app, "POST", "/jobs", [piece(b'{"type":', more=True), GONE])
    assert told.messages == []
    assert caplog.records == []
    assert await api.rows() == 0


async def test_a_head_is_a_get_without_its_body(api: Api) -> None:
    job_id = await api.submit()
    told = await call(api.app, "HEAD", f"/jobs/{job_id}")
    assert (told.status, told.body) == (200, b"")
    assert int(told.headers["content-length"]) > 100


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:65535", "[::1]", "[::1]:3000"])
async def test_this_machines_own_names_are_answered(api: Api, host: str) -> None:
    assert (await api.client.get("/live", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:localhost",
        "localhost:evil",
        "[::1",
        "0.0.0.0",
        "localhost@evil.example",
        "",
    ],
)
@pytest.mark.parametrize("settings", [{}, LAN])
async def test_no_other_name_is_answered_wherever_it_listens(
    new_api: NewApi, settings: dict[str, str], host: str
) -> None:
    api = await new_api(settings)
    answer = await api.client.get("/live", headers={"Host": host})
    assert_problem(answer, 421, "misdirected-request")
    assert "TREADLE_ALLOWED_HOSTS" in answer.json()["detail"]


async def test_a_name_that_is_listed_is_answered(new_api: NewApi) -> None:
    api = await new_api({**LAN, "TREADLE_ALLOWED_HOSTS": "api,jobs.example.com"})
    for host, status in {"jobs.example.com": 200, "api:3000": 200, "localhost": 200, "evil.example": 421}.items():
        assert (await api.client.get("/live", headers={"Host": host})).status_code == status


async def test_a_host_field_is_needed_and_needed_once(api: Api) -> None:
    assert (await call(api.app, "GET", "/live", fields=[])).status == 400
    assert (await call(api.app, "GET", "/live", fields=[HOST, (b"host", b"evil.example")])).status == 400
    assert (await call(api.app, "GET", "/live", fields=[], http_version="1.0")).status == 200


async def test_an_endless_address_and_endless_fields_are_refused(api: Api) -> None:
    long = await call(api.app, "GET", "/jobs/" + "x" * 64_000)
    assert (long.status, long.headers["connection"]) == (414, "close")
    assert (await call(api.app, "GET", "/live", query=b"x" * 64_000)).status == 414
    many = await call(api.app, "GET", "/live", fields=[HOST, *((b"x-%d" % n, b"") for n in range(500))])
    assert (many.status, many.headers["connection"]) == (431, "close")
    for field in ((b"x", b"y" * 64_000), (b"x" * 64_000, b"y")):
        assert (await call(api.app, "GET", "/live", fields=[HOST, field])).status == 431


async def test_fields_that_decide_something_may_come_only_once(api: Api) -> None:
    for name in (b"content-type", b"content-encoding", b"idempotency-key", b"authorization"):
        twice = [(name, b"application/json"), (name, b"identity")]
        told = await call(api.app, "POST", "/jobs", fields=[HOST, *([] if name == JSON[0] else [JSON]), *twice])
        assert told.status == 400, name
    assert await api.rows() == 0
