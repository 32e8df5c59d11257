"""What the forms do, and who may send them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.admin.conftest import Admin, NewAdmin
from treadle.admin.app import doors
from treadle.ids import new_job_id
from treadle.states import Status

LOGIN = {"ADMIN_USER": "ada", "ADMIN_PASS": "lovelace-1843"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def post(admin: Admin, path: str, fields: Any = (), **options: Any) -> Any:
    headers = {**FORM, **options.pop("headers", {})}
    return await admin.client.post(path, content=urlencode(fields, doseq=True), headers=headers, **options)


async def test_a_retry_leads_back_to_where_it_was_asked_for(admin: Admin) -> None:
    job_id = await admin.failed()

    answer = await post(
        admin, f"/admin/ui/jobs/{job_id}/retry", {"page": "jobs", "query": "status=failed&type=TEST&cursor=abc"}
    )

    assert answer.status_code == 303
    assert answer.headers["location"] == (f"/admin/ui/jobs?status=failed&type=TEST&cursor=abc&did=retry&job={job_id}")
    assert await admin.status(job_id) is Status.QUEUED


async def test_what_was_done_is_said_once_and_not_kept_by_the_page(admin: Admin) -> None:
    job_id = await admin.failed()

    text = await admin.text(f"/admin/ui?did=retry&job={job_id}")

    said, rest = text.split('<main id="live"')
    assert "Retried" in said
    assert f'href="/admin/ui/jobs/{job_id}"' in said
    assert "did=" not in rest


@pytest.mark.parametrize(
    "fields",
    [
        {"page": "https://evil.example/"},
        {"page": "//evil.example", "query": "x"},
        {"page": "jobs", "query": "next=//evil.example&status=failed\r\nSet-Cookie: x=1"},
        {"page": "overview", "query": "\r\nLocation: //evil.example"},
    ],
)
async def test_no_form_leads_off_the_page(admin: Admin, fields: dict[str, str]) -> None:
    job_id = await admin.failed()

    answer = await post(admin, f"/admin/ui/jobs/{job_id}/dlq", fields)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/admin/ui")
    assert "evil" not in answer.headers["location"]
    assert "set-cookie" not in answer.headers


async def test_an_action_that_the_status_does_not_allow_is_explained(admin: Admin) -> None:
    job_id = await admin.job()

    answer = await post(admin, f"/admin/ui/jobs/{job_id}/retry")

    assert answer.status_code == 409
    assert 'id="problem"' in answer.text
    assert await admin.status(job_id) is Status.QUEUED


@pytest.mark.parametrize("slug", ["retry", "dlq", "cancel"])
async def test_a_job_that_is_not_there_is_a_404(admin: Admin, slug: str) -> None:
    assert (await post(admin, f"/admin/ui/jobs/{new_job_id()}/{slug}")).status_code == 404
    assert (await post(admin, f"/admin/ui/jobs/x/{slug}")).status_code == 404


async def test_dead_letters_are_replayed_together(admin: Admin) -> None:
    ids = [await admin.failed() for _ in range(3)]
    for job_id in ids:
        await post(admin, f"/admin/ui/jobs/{job_id}/dlq")
    left = await admin.failed()

    answer = await post(admin, "/admin/ui/dead/replay", {"chosen": [ids[0], ids[1], ids[1], "x", new_job_id()]})

    assert answer.headers["location"] == "/admin/ui/dead?did=replay&count=2"
    assert [await admin.status(job_id) for job_id in (*ids, left)] == [
        Status.QUEUED, Status.QUEUED, Status.DEAD, Status.FAILED,
    ]  # fmt: skip


async def test_a_replay_of_nothing_says_so(admin: Admin) -> None:
    answer = await post(admin, "/admin/ui/dead/replay", {"query": "type=A"})

    assert answer.headers["location"] == "/admin/ui/dead?type=A&did=nothing"


async def test_queues_are_paused_and_resumed(admin: Admin) -> None:
    assert (await post(admin, "/admin/ui/queues/default/pause")).status_code == 303
    assert "paused" in (await admin.text("/admin/ui/queues")).split('id="queue-default"')[1]
    assert (await post(admin, "/admin/ui/queues/default/resume")).status_code == 303
    assert (await post(admin, "/admin/ui/queues/nobody/pause")).status_code == 404
    assert (await post(admin, "/admin/ui/queues/NO%20NAME/pause")).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3001"},
    ],
)
async def test_no_other_site_can_send_a_form(admin: Admin, headers: dict[str, str]) -> None:
    job_id = await admin.failed()

    for path in (f"/admin/ui/jobs/{job_id}/retry", "/admin/ui/queues/default/pause", "/admin/ui/dead/replay"):
        answer = await post(admin, path, headers=headers)
        assert answer.status_code == 403
        assert "not from other sites" in answer.text

    assert await admin.status(job_id) is Status.FAILED


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": "http://127.0.0.1:3000"}, {}])
async def test_its_own_pages_and_programs_can(admin: Admin, headers: dict[str, str]) -> None:
    job_id = await admin.failed()

    assert (await post(admin, f"/admin/ui/jobs/{job_id}/retry", headers=headers)).status_code == 303


async def test_every_door_asks_for_the_login(new_admin: NewAdmin) -> None:
    admin = await new_admin(LOGIN)
    nobody: Any = Anything()  # the table names its handlers and calls none
    for door in doors(nobody, nobody, nobody, nobody):
        path = door.path.replace("{name:path}", "admin.css")
        for name in ("job_id", "name", "version"):
            path = path.replace(f"{{{name}}}", "x")
        answer = await admin.client.request(door.method, path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Basic "), path
    assert (await admin.client.get("/admin/ui", auth=("ada", "lovelace-1843"))).status_code == 200


class Anything:
    """Has whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return None


async def test_wrong_passwords_are_throttled_with_those_of_the_api(new_admin: NewAdmin) -> None:
    admin = await new_admin(LOGIN)
    for path in ("/admin/ui", "/admin/jobs") * 5:
        assert (await admin.client.get(path, auth=("ada", "wrong"))).status_code == 401

    answer = await admin.client.get("/admin/ui", auth=("ada", "lovelace-1843"))

    assert answer.status_code == 429
    assert "retry-after" in answer.headers
    assert 'id="problem"' in answer.text


async def test_a_form_beyond_all_measure_is_refused(admin: Admin) -> None:
    job_id = await admin.failed()

    assert (await post(admin, "/admin/ui/dead/replay", {"chosen": ["x"] * 601})).status_code == 400
    assert (await post(admin, "/admin/ui/dead/replay", {"query": "x" * 70_000})).status_code == 413
    assert (await admin.client.post(f"/admin/ui/jobs/{job_id}/retry", content=b"\xff\xfe=1")).status_code == 400
    assert (await admin.client.post(f"/admin/ui/jobs/{job_id}/retry?x=1")).status_code == 400
    assert await admin.status(job_id) is Status.FAILED


@pytest.mark.parametrize("slug", ["retry", "dlq", "cancel"])
async def test_reading_changes_nothing(admin: Admin, slug: str) -> None:
    job_id = await admin.failed()

    answer = await admin.client.get(f"/admin/ui/jobs/{job_id}/{slug}")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
