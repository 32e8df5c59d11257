"""The login, and forms where a browser does not say where they come from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LOGIN, SETTINGS, NewVisitor, fail
from tests.flow.stack import Stack

pytestmark = pytest.mark.flow


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a login, bound to every address of the machine."""
    own = {
        "ADMIN_USER": LOGIN["username"],
        "ADMIN_PASS": LOGIN["password"],
        "TREADLE_HOST": "0.0.0.0",
        "TREADLE_OPEN": "1",
        "TREADLE_ALLOWED_HOSTS": "treadle.test",
    }
    made = Stack(tmp_path_factory.mktemp("locked"), {**SETTINGS, **own})
    made.start("dev")
    yield made
    made.close()


def test_nobody_comes_in_without_the_login(new_visitor: NewVisitor, locked: Stack) -> None:
    # Asked beside the page: some browsers report a challenge as an error of the navigation itself.
    visitor = new_visitor(at=locked)
    for path in ("/admin/ui", "/admin/ui/jobs", "/admin/ui/live", "/admin/ui/series"):
        answer = visitor.context.request.get(locked.url + path)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic")


def test_with_the_login_everything_works(new_visitor: NewVisitor, locked: Stack) -> None:
    visitor = new_visitor(at=locked, http_credentials=LOGIN)
    job_id = fail(locked)
    visitor.go("/admin/ui")
    expect(visitor.page.locator("#chart canvas")).to_be_visible()

    visitor.page.locator(f"#row-{job_id}").get_by_role("button", name="Retry").click()

    expect(visitor.page.locator("#said")).to_contain_text("Retried")
    assert locked.finish(job_id)["attempts"] == 2
    visitor.check()


@pytest.mark.parametrize("scripts", [True, False])
def test_forms_work_where_the_browser_names_only_their_origin(
    new_visitor: NewVisitor, locked: Stack, scripts: bool
) -> None:
    # Plain HTTP and no loopback name: Chromium then sends no Sec-Fetch-Site, and the origin is all there is.
    visitor = new_visitor(at=locked, http_credentials=LOGIN, java_script_enabled=scripts)
    base = f"http://treadle.test:{locked.api_port}"
    job_id = fail(locked)
    visitor.page.goto(base + "/admin/ui")
    with visitor.page.expect_request(lambda request: request.method == "POST") as sent:
        visitor.page.locator(f"#row-{job_id}").get_by_role("button", name="Move to DLQ").click()

    expect(visitor.page.locator("#said")).to_contain_text("Moved")
    headers = sent.value.all_headers()
    assert "sec-fetch-site" not in headers
    assert headers["origin"] == base
    assert locked.job(job_id)["status"] == "dead"


def test_another_site_cannot_press_a_button(new_visitor: NewVisitor, locked: Stack) -> None:
    visitor = new_visitor(strict=False, at=locked, http_credentials=LOGIN)
    job_id = fail(locked)
    form = f'<form method="post" action="{locked.url}/admin/ui/jobs/{job_id}/retry"><button>Win a prize</button></form>'
    visitor.page.route("http://prizes.test/", lambda route: route.fulfill(content_type="text/html", body=form))
    visitor.page.goto("http://prizes.test/")

    with visitor.page.expect_response(f"**/admin/ui/jobs/{job_id}/retry") as answered:
        visitor.page.get_by_role("button").click()

    assert answered.value.status in (401, 403)
    assert locked.job(job_id)["status"] == "failed"
