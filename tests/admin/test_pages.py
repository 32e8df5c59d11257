"""What the pages say, without a browser."""

from __future__ import annotations

import html
from datetime import timedelta

import pytest

from tests.admin.conftest import Admin
from treadle.ids import JobId
from treadle.states import Status, Verb

PAGES = ("/admin/ui", "/admin/ui/jobs", "/admin/ui/queues", "/admin/ui/workers", "/admin/ui/dead")
NASTY = "<script>alert(1)</script>\x1b[31mred\x1b[0m \u202e {{7*7}} \" ' & </td>"


async def test_the_page_is_titled_job_admin_and_headed_failed_jobs(admin: Admin) -> None:
    text = await admin.text("/admin/ui")

    assert "<title>Job Admin</title>" in text
    assert text.count("<h1>") == 1
    assert "<h1>Failed Jobs</h1>" in text


async def test_a_failed_job_stands_in_the_table_with_its_buttons(admin: Admin) -> None:
    job_id = await admin.failed("no such printer")

    text = await admin.text("/admin/ui")

    row = text[text.index(f'id="row-{job_id}"') :].split("</tr>")[0]
    assert "no such printer" in row
    assert "TEST" in row
    assert f'action="/admin/ui/jobs/{job_id}/retry"' in row
    assert f'action="/admin/ui/jobs/{job_id}/dlq"' in row


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_reads_before_there_is_anything(admin: Admin, path: str) -> None:
    assert "<h1>" in await admin.text(path)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_carries_the_policy(admin: Admin, path: str) -> None:
    headers = (await admin.client.get(path)).headers

    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_has_anything_inline(admin: Admin, path: str) -> None:
    await admin.failed()
    text = await admin.text(path)

    assert "<style" not in text
    assert " style=" not in text
    assert " on" + "click" not in text
    assert text.count("<script") == text.count("<script src=")


@pytest.mark.parametrize("path", PAGES)
async def test_no_field_hides_its_form(admin: Admin, path: str) -> None:
    # A field named id is what form.id then means, and a refresh no longer finds the form it must leave alone.
    assert 'name="id"' not in await admin.text(path)


async def test_what_comes_from_jobs_is_never_markup(admin: Admin) -> None:
    payload = b'{"note":"<script>alert(1)</script>"}'
    job_id = await admin.failed(NASTY, type=NASTY, payload=payload)

    for path in ("/admin/ui", "/admin/ui/jobs", f"/admin/ui/jobs/{job_id}"):
        text = await admin.text(path)
        assert "<script>" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\\x1b[31mred" in text
        assert "49" not in html.unescape(text).split("{{7*7}}")[0][-3:]
    assert html.escape("<script>alert(1)</script>") in await admin.text(f"/admin/ui/jobs/{job_id}")


async def test_secrets_are_covered(admin: Admin) -> None:
    payload = (
        b'{"user":"ada","Password":"canary-1","nested":{"api_key":{"deep":"canary-2"},"ok":[1,2]},"token":["canary-3"]}'
    )
    job_id = await admin.ended(Verb.COMPLETE, payload=payload, result=b'{"cookie":"canary-4","n":1}')

    text = html.unescape(await admin.text(f"/admin/ui/jobs/{job_id}"))

    assert "canary" not in text
    assert text.count("•••") == 4
    assert '"user": "ada"' in text


async def test_a_job_page_tells_the_whole_story(admin: Admin) -> None:
    job_id = await admin.failed("the first error", payload=b'{"big":12345678901234567890.10}')

    text = html.unescape(await admin.text(f"/admin/ui/jobs/{job_id}"))

    assert "Attempt 1" in text
    assert "the first error" in text
    assert "Traceback: the first error" in text
    assert "12345678901234567890.10" in text  # digits are the payload's own


@pytest.mark.parametrize(
    ("status", "slugs"),
    [
        (Status.QUEUED, {"cancel"}),
        (Status.SCHEDULED, {"cancel"}),
        (Status.PROCESSING, {"cancel"}),
        (Status.RETRYING, {"dlq", "cancel"}),
        (Status.COMPLETED, set()),
        (Status.FAILED, {"retry", "dlq"}),
        (Status.DEAD, {"retry"}),
        (Status.CANCELLED, {"retry"}),
    ],
)
async def test_only_what_is_allowed_is_offered(admin: Admin, status: Status, slugs: set[str]) -> None:
    job_id = await in_status(admin, status)
    assert await admin.status(job_id) is status

    text = await admin.text(f"/admin/ui/jobs/{job_id}")

    offered = {slug for slug in ("retry", "dlq", "cancel") if f"/{job_id}/{slug}" in text}
    assert offered == slugs


async def in_status(admin: Admin, status: Status) -> JobId:
    soon = admin.runtime.clock.now() + timedelta(hours=1)
    if status is Status.QUEUED:
        return await admin.job()
    if status is Status.SCHEDULED:
        return await admin.job(run_at=soon)
    if status is Status.PROCESSING:
        return await admin.claimed(await admin.worker())
    if status is Status.RETRYING:
        return await admin.ended(Verb.RETRY, "once more", run_at=soon)
    if status is Status.COMPLETED:
        return await admin.ended(Verb.COMPLETE, result=b"null")
    job_id = await admin.failed() if status is not Status.CANCELLED else await admin.job()
    if status is not Status.FAILED:
        verb = Verb.BURY if status is Status.DEAD else Verb.CANCEL
        await admin.runtime.store.operate(verb, [job_id], admin.runtime.clock.now())
    return job_id


async def test_a_running_job_that_was_asked_to_stop_is_not_asked_again(admin: Admin) -> None:
    job_id = await admin.claimed(await admin.worker())
    await admin.runtime.store.operate(Verb.CANCEL, [job_id], admin.runtime.clock.now())

    text = await admin.text(f"/admin/ui/jobs/{job_id}")

    assert "asked to stop" in text
    assert f"/{job_id}/cancel" not in text


async def test_filters_stand_in_the_address_and_narrow_the_list(admin: Admin) -> None:
    one, other = await admin.job(type="ONE"), await admin.job(type="OTHER")

    text = await admin.text("/admin/ui/jobs?status=queued&type=ONE&queue=&priority=default")

    assert f"row-{one}" in text
    assert f"row-{other}" not in text
    assert "/admin/ui/jobs?status=failed&amp;type=ONE&amp;priority=default" in text  # tabs keep the other filters


async def test_a_list_goes_on_to_older_pages(admin: Admin) -> None:
    ids = [await admin.job() for _ in range(51)]

    first = await admin.text("/admin/ui/jobs")
    older = html.unescape(first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0])
    second = await admin.text(older)

    assert f"row-{ids[0]}" not in first
    assert f"row-{ids[0]}" in second
    assert f"row-{ids[1]}" not in second
    assert 'data-turn="p"' in second


@pytest.mark.parametrize(
    "query",
    ["status=x", "status=failed&status=dead", "status[]=failed", "cursor=abc", "unknown=1", "priority=low", "find=x",
     "queue=UPPER", "did=whatever", "did=%3Cscript%3E"],
)  # fmt: skip
async def test_a_bad_address_is_explained_on_a_page(admin: Admin, query: str) -> None:
    text = await admin.text(f"/admin/ui/jobs?{query}", 400)

    assert 'id="problem"' in text
    assert "script>" not in text.replace("</script>", "").replace("<script src", "")


async def test_an_id_leads_to_its_job(admin: Admin) -> None:
    job_id = await admin.job()

    answer = await admin.client.get("/admin/ui/jobs", params={"find": f" {job_id.upper()} "})

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/admin/ui/jobs/{job_id}"


@pytest.mark.parametrize("job_id", ["x", "..%2f..%2fetc%2fpasswd", "01890000-0000-7000-8000-000000000000"])
async def test_a_job_that_is_not_there_is_explained_on_a_page(admin: Admin, job_id: str) -> None:
    answer = await admin.client.get(f"/admin/ui/jobs/{job_id}")

    assert answer.status_code == 404


async def test_a_store_that_is_gone_is_explained_on_a_page(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    from treadle.errors import Unavailable

    async def gone() -> dict[Status, int]:
        raise Unavailable

    monkeypatch.setattr(admin.runtime.store, "counts", gone)
    answer = await admin.client.get("/admin/ui")

    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert "does not answer" in answer.text
