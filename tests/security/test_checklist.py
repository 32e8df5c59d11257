"""The security checklist, as far as a running server shows it: one test a line, by its number in ``checklist.py``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flow.stack import APPS, SOURCE
from tests.security.row import JSON, UNKNOWN_ID
from tests.security.target import KEYS, LOGIN, Target, open_target
from tests.servers.rungs import RUNGS
from treadle.admin.app import doors as admin_doors
from treadle.api.operations import OPERATIONS

PUBLIC = {("GET", "/live"), ("GET", "/health")}
SECRETS = {
    "ADMIN_PASS": LOGIN[1],
    "TREADLE_API_KEYS": ",".join(KEYS),
    "TREADLE_MAIL_USERNAME": "user",
    "TREADLE_MAIL_PASSWORD": "canary-mail-4713",
}


@pytest.fixture(scope="module", params=list(RUNGS))
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Everything in one process, with job types that would tell its secrets if they knew them."""
    path = f"{Path(__file__).parent / 'apps'}:{APPS}:{SOURCE}"
    settings = {**SECRETS, "TREADLE_APP": "leaky:app", "PYTHONPATH": path, "TREADLE_LOG_LEVEL": "debug"}
    with open_target(tmp_path_factory.mktemp("target"), request.param, "dev", settings) as opened:
        yield opened


def every_route() -> list[tuple[str, str]]:
    """Method and path of every row of both route tables."""
    pages: Any = type("Anything", (), {"__getattr__": lambda self, name: None})()
    ui = [(door.method, door.path) for door in admin_doors(pages, pages, pages, pages)]
    return [*OPERATIONS, *ui]


def filled(path: str) -> str:
    return (
        path.format(job_id=UNKNOWN_ID, name="default", version="x")
        if "{name:path}" not in path
        else "/admin/ui/static/x/y"
    )


def bare(target: Target, method: str, path: str, **more: Any) -> httpx.Response:
    """A request without credentials; of a stream that opened all the same, only its head."""
    with httpx.stream(method, target.stack.url + path, timeout=60, **more) as answer:
        if answer.status_code != 200 or path != "/admin/ui/live":
            answer.read()
        return answer


def run(target: Target, type_name: str, payload: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"type": type_name, "payload": payload}).encode()
    job_id = target.send("POST", "/jobs", content=body, headers=JSON).json()["jobId"]
    job: dict[str, Any] = target.send("GET", f"/jobs/{job_id}?wait=60").json()
    assert job["status"] in {"completed", "failed"}, job
    return job


def test_s15_no_route_opens_without_credentials(target: Target) -> None:
    for method, path in every_route():
        answer = bare(target, method, filled(path))
        if (method, path) in PUBLIC:
            assert answer.status_code == 200
        else:
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith(("Bearer", 'Basic realm="treadle"'))


def test_i130_a_key_is_no_login_and_a_login_is_no_key(target: Target) -> None:
    for method, path in every_route():
        if (method, path) in PUBLIC:
            continue
        wrong: dict[str, Any] = {"auth": LOGIN}
        if path.startswith(("/admin", "/metrics")):
            wrong = {"headers": {"Authorization": f"Bearer {KEYS[0]}"}}
        assert bare(target, method, filled(path), **wrong).status_code == 401, (method, path)


def test_s06_a_key_counts_in_its_header_alone_and_reaches_no_log(target: Target) -> None:
    for query in (f"key={KEYS[0]}", f"api_key={KEYS[0]}", f"access_token={KEYS[0]}"):
        assert bare(target, "GET", f"/types?{query}").status_code == 401
        assert target.send("GET", f"/types?{query}").status_code == 400
    assert KEYS[0] not in target.stack.logs()


def test_s10_i106_i107_wrong_passwords_shut_out_their_address_and_no_other(target: Target) -> None:
    with target.client_at("127.0.0.2") as guesser:
        for number in range(10):
            headers = {"X-Forwarded-For": f"10.0.0.{number}", "Forwarded": f"for=10.0.0.{number}"}
            assert guesser.get("/admin/stats", auth=(LOGIN[0], "wrong"), headers=headers).status_code == 401
        answer = guesser.get("/admin/stats", auth=LOGIN)
        assert (answer.status_code, answer.json()["type"]) == (429, "/problems/too-many-requests")
        assert 0 < int(answer.headers["retry-after"]) <= 60
    assert target.send("GET", "/admin/stats").status_code == 200


def test_s16_no_form_of_another_site_changes_anything(target: Target) -> None:
    changes = [(method, path) for method, path in every_route() if method == "POST" and path.startswith("/admin")]
    assert len(changes) > 10
    for method, path in changes:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
            assert target.send(method, filled(path), content=b"a=1", headers=form).status_code == 403, (path, headers)


def test_s17_s18_s21_every_answer_tells_a_browser_to_be_careful(target: Target) -> None:
    for method, path in every_route():
        if path == "/admin/ui/live":
            continue  # a stream, which the next test opens
        answer = target.send(method, filled(path), headers={"Origin": target.stack.url})
        told = answer.headers
        assert told["x-content-type-options"] == "nosniff"
        assert told["x-frame-options"] == "DENY"
        assert told["cross-origin-resource-policy"] == "same-origin"
        assert told["referrer-policy"] in {"no-referrer", "same-origin"}
        policy = told["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert not [name for name in told if name.startswith("access-control-")]
        assert "server" not in told
        assert "set-cookie" not in told


def test_s22_the_stream_wants_the_login_and_no_other_sites_page(target: Target) -> None:
    assert bare(target, "GET", "/admin/ui/live").status_code == 401
    with target.client.stream("GET", "/admin/ui/live", auth=LOGIN) as stream:
        assert (stream.status_code, stream.headers["x-content-type-options"]) == (200, "nosniff")


def test_s24_nothing_leads_away(target: Target) -> None:
    for form in (b"page=https://evil.example", b"page=//evil.example&next=//evil.example", b"page=%0d%0aLocation:x"):
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        answer = target.send("POST", "/admin/ui/queues/default/resume", content=form, headers=headers)
        assert answer.status_code == 303
        assert re.fullmatch(r"/admin/ui[^\\]*", answer.headers["location"])
        assert "evil" not in answer.headers["location"]


@pytest.mark.parametrize(
    "text", ["' OR 1=1--", "'; DROP TABLE jobs;--", "\\", "%", "_", '"', "$1", ":1", "?", "a' UNION SELECT 1"]
)
def test_s26_sql_in_a_parameter_is_a_name_that_nobody_has(target: Target, text: str) -> None:
    run(target, "ENVIRONMENT", {})
    query = httpx.QueryParams({"type": text})
    answer = target.send("GET", f"/admin/jobs?{query}")
    assert (answer.status_code, answer.json()) == (200, {"jobs": [], "nextCursor": None})
    assert target.count() > 0


def test_s29_what_a_job_holds_forges_no_log_line(target: Target) -> None:
    before = len(target.stack.logs().splitlines())
    text = 'a\r\n{"level":"error","message":"forged"}\n\x1b[31mred\u2028next'
    job = run(target, "SHOUT", {"text": text})
    lines = [line for line in target.stack.logs().splitlines()[before:] if line.strip()]
    heard = [line for line in map(json.loads, lines) if line.get("job") == job["id"]]
    assert any(text in line["message"] for line in heard)
    assert not [line for line in map(json.loads, lines) if line["message"] == "forged"]


def test_s35_s52_an_error_is_told_by_its_words_and_paths_stay_in_the_log(target: Target) -> None:
    job = run(target, "SHOUT", {"text": "x" * 100_000})
    assert len(json.dumps(job["errors"])) < 3 * 8 * 1024


def test_s50_secrets_reach_no_log_no_page_no_answer(target: Target) -> None:
    target.send("GET", "/admin/stats", headers={"Authorization": "Basic dXNlcjpjYW5hcnktZ3Vlc3M="})
    job = run(target, "SHOUT", {"text": "plain", "password": "canary-payload-4714"})
    seen = [target.stack.logs()]
    for method, path in every_route():
        if method == "GET" and path != "/admin/ui/live" and "{job_id}" not in path:
            seen.append(target.send(method, filled(path)).text)
    seen += [target.send("GET", f"{root}/{job['id']}").text for root in ("/jobs", "/admin/ui/jobs")]
    for secret in (*SECRETS.values(), *KEYS, "canary-payload-4714", "canary-guess"):
        if secret != "user":
            assert not [text for text in seen if secret in text], secret
    for address in (target.stack.settings.get("DATABASE_URL"), target.stack.settings.get("REDIS_URL")):
        assert not [text for text in seen if address is not None and address in text]


def test_s55_a_child_is_told_none_of_our_own_secrets(target: Target) -> None:
    told = run(target, "ENVIRONMENT", {})["result"]
    assert "PYTHONPATH" in told
    for name in ("ADMIN_PASS", "TREADLE_API_KEYS", "TREADLE_MAIL_PASSWORD"):
        assert name not in told
    assert not [value for value in told.values() if "canary" in value or KEYS[0] in value]


def test_s64_s65_nobody_is_told_what_runs_here_without_asking_with_a_key(target: Target) -> None:
    for path in ("/health", "/live", "/docs", "/redoc", "/debug", "/version", "/openapi.yaml"):
        answer = bare(target, "GET", path)
        assert not re.search(
            r"0\.1\.0|python|uvicorn|starlette|127\.0\.0\.1|localhost", answer.text + str(answer.headers), re.I
        )
