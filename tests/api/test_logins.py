"""The admin login and the keys, at their edges."""

from __future__ import annotations

import base64

import pytest

from tests.api.asgi import HOST, call
from tests.api.conftest import Api, NewApi

USER, PASSWORD = "ada", "pä:ss:wörd"
LOGIN = {"ADMIN_USER": USER, "ADMIN_PASS": PASSWORD}
KEY = "tk_0123456789abcdef"


def basic(text: str | bytes, scheme: str = "Basic") -> tuple[bytes, bytes]:
    data = text.encode() if isinstance(text, str) else text
    return b"authorization", scheme.encode() + b" " + base64.b64encode(data)


async def status(api: Api, *fields: tuple[bytes, bytes], client: str = "127.0.0.1", path: str = "/admin/jobs") -> int:
    return (await call(api.app, "GET", path, fields=[HOST, *fields], client=client)).status


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
async def test_the_login_is_utf8_and_split_at_its_first_colon(new_api: NewApi, scheme: str) -> None:
    api = await new_api(LOGIN)
    assert await status(api, basic(f"{USER}:{PASSWORD}", scheme)) == 200


@pytest.mark.parametrize(
    "credentials",
    [
        basic(f"{USER}:"),
        basic(f"{USER}"),
        basic(f":{PASSWORD}"),
        basic(f"Ada:{PASSWORD}"),
        basic(f"{USER}:{PASSWORD}x"),
        basic(f"{USER}:{PASSWORD}".encode("latin-1")),
        basic(b"\xff\xfe"),
        (b"authorization", b"Basic"),
        (b"authorization", b"Basic !!!"),
        (b"authorization", b"Basic \xff"),
        (b"authorization", b""),
        (b"authorization", b"Bearer " + base64.b64encode(f"{USER}:{PASSWORD}".encode())),
        (b"authorization", f"Bearer {KEY}".encode()),
    ],
)
async def test_no_other_login_opens(new_api: NewApi, credentials: tuple[bytes, bytes]) -> None:
    api = await new_api({**LOGIN, "TREADLE_API_KEYS": KEY})
    told = await call(api.app, "GET", "/admin/jobs", fields=[HOST, credentials])
    assert told.status == 401
    assert told.headers["www-authenticate"] == 'Basic realm="treadle", charset="UTF-8"'


async def test_two_authorizations_are_refused_whatever_they_are(new_api: NewApi) -> None:
    api = await new_api({**LOGIN, "TREADLE_API_KEYS": KEY})
    right = basic(f"{USER}:{PASSWORD}")
    assert await status(api, right, right) == 400
    key = (b"authorization", f"Bearer {KEY}".encode())
    assert await status(api, key, key, path="/jobs/x") == 400


async def test_a_locked_address_locks_no_other_and_a_header_makes_no_other_address(new_api: NewApi) -> None:
    api = await new_api(LOGIN)
    right = basic(f"{USER}:{PASSWORD}")
    for _ in range(10):
        assert await status(api, basic("ada:no"), client="192.0.2.1") == 401
    assert await status(api, right, client="192.0.2.1") == 429
    assert await status(api, right, (b"x-forwarded-for", b"192.0.2.9"), client="192.0.2.1") == 429
    assert await status(api, right, (b"x-forwarded-for", b"192.0.2.1"), client="192.0.2.2") == 200


async def test_no_credentials_are_no_wrong_try(new_api: NewApi) -> None:
    api = await new_api(LOGIN)
    for _ in range(20):
        assert await status(api) == 401
    assert await status(api, basic(f"{USER}:{PASSWORD}")) == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", KEY, f"Token {KEY}", f"Bearer x {KEY}"],
)
async def test_no_other_key_opens(new_api: NewApi, authorization: str) -> None:
    api = await new_api({"TREADLE_API_KEYS": f"{KEY},tk_fedcba9876543210"})
    told = await call(api.app, "GET", "/jobs/x", fields=[HOST, (b"authorization", authorization.encode())])
    assert (told.status, told.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_key_counts_in_its_header_alone(new_api: NewApi) -> None:
    api = await new_api({"TREADLE_API_KEYS": KEY})
    for query in (f"?key={KEY}", f"?access_token={KEY}"):
        answer = await api.client.post(f"/jobs{query}", json={})
        assert answer.status_code == 401
        assert KEY not in answer.text


async def test_unauthorized_requests_are_not_read(new_api: NewApi) -> None:
    api = await new_api({"TREADLE_API_KEYS": KEY})
    answer = await api.client.post("/jobs", content=b"{", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:3001", "http://[", "127.0.0.1:3000", ""]
)
async def test_without_a_login_other_sites_are_refused_all_the_same(api: Api, origin: str) -> None:
    answer = await api.client.post("/admin/queues/default/pause", headers={"Origin": origin})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/csrf")
    queues = (await api.client.get("/admin/queues", headers={"Origin": origin})).json()["queues"]
    assert not any(queue["paused"] for queue in queues)
