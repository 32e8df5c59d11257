"""Who may pass: every route without credentials, keys, the login, the throttle, other sites, other host names."""

from __future__ import annotations

import base64

import pytest

from tests.api.conftest import NewApi
from treadle.web.guards import Guard

CLOSED = {"TREADLE_API_KEYS": "tk_0123456789abcdef,tk_fedcba9876543210", "ADMIN_USER": "ada", "ADMIN_PASS": "pass:word"}
KEY = {"Authorization": "Bearer tk_0123456789abcdef"}
LOGIN = ("ada", "pass:word")


async def test_no_route_but_the_public_ones_passes_without_credentials(new_api: NewApi) -> None:
    api = await new_api(CLOSED)
    public = set()
    for door in api.doors:
        path = door.path.format(job_id="019c0000-0000-7000-8000-000000000000", name="default")
        answer = await api.client.request(door.method, path)
        if door.guard is Guard.PUBLIC:
            public.add(door.path)
        else:
            assert answer.status_code == 401, door.path
            assert answer.headers["www-authenticate"].startswith("Bearer" if door.guard is Guard.KEY else "Basic")
    assert public == {"/live", "/health"}


async def test_keys_open_jobs_and_the_login_opens_admin_and_neither_the_other(new_api: NewApi) -> None:
    api = await new_api(CLOSED)
    body = {"type": "GREET", "payload": {"name": "Ada"}}
    assert (await api.client.post("/jobs", json=body, headers=KEY)).status_code == 201
    assert (
        await api.client.post("/jobs", json=body, headers={"Authorization": "bEaReR tk_fedcba9876543210"})
    ).status_code == 201
    assert (await api.client.post("/jobs", json=body, auth=LOGIN)).status_code == 401
    assert (await api.client.get("/admin/jobs", auth=LOGIN)).status_code == 200
    assert (await api.client.get("/admin/jobs", headers=KEY)).status_code == 401
    encoded = base64.b64encode(b"ada:pass:word").decode()
    assert (await api.client.get("/admin/jobs", headers={"Authorization": f"bAsIc {encoded}"})).status_code == 200
    both = [("Authorization", f"Basic {encoded}"), ("Authorization", "Bearer x")]
    assert (await api.client.get("/admin/jobs", headers=both)).status_code == 400


async def test_keys_of_two_callers_do_not_meet(new_api: NewApi) -> None:
    api = await new_api(CLOSED)
    body = {"type": "GREET", "payload": {"name": "Ada"}}
    ids = set()
    for key in ("tk_0123456789abcdef", "tk_fedcba9876543210"):
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "same"}
        answer = await api.client.post("/jobs", json=body, headers=headers)
        assert answer.status_code == 201
        ids.add(answer.json()["jobId"])
    assert len(ids) == 2


async def test_ten_wrong_passwords_close_the_door_for_a_while_even_to_the_right_one(new_api: NewApi) -> None:
    api = await new_api(CLOSED)
    for _ in range(10):
        assert (await api.client.get("/admin/jobs", auth=("ada", "wrong"))).status_code == 401
    answer = await api.client.get("/admin/jobs", auth=LOGIN, headers={"X-Forwarded-For": "10.0.0.1"})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({"Sec-Fetch-Site": "none"}, 404),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:3000"}, 404),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_writes_from_other_sites_are_refused(new_api: NewApi, headers: dict[str, str], status: int) -> None:
    api = await new_api(CLOSED)
    path = "/admin/jobs/019c0000-0000-7000-8000-000000000000/retry"
    assert (await api.client.post(path, headers=headers, auth=LOGIN)).status_code == status


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:3000", 200), ("127.0.0.1", 200), ("[::1]:1", 200), ("evil.example", 421)]
)
async def test_only_names_of_this_machine_are_served(new_api: NewApi, host: str, status: int) -> None:
    api = await new_api({})
    assert (await api.client.get("/live", headers={"Host": host})).status_code == status
