"""The page follows what happens, rests while nobody looks, and says when it cannot follow."""

from __future__ import annotations

import signal
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.browser.conftest import SETTINGS, NewVisitor, Visitor, fail
from tests.flow.stack import Stack

HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_the_page_is_quiet_before_it_is_live(visitor: Visitor) -> None:
    visitor.page.goto(visitor.stack.url + "/admin/ui", wait_until="networkidle")

    expect(visitor.page.locator("#pulse")).to_have_text("live")


def test_tiles_and_counts_follow(visitor: Visitor, stack: Stack) -> None:
    visitor.go("/admin/ui")
    expect(visitor.page.locator("#tile-held")).to_contain_text("No queue is paused")

    assert stack.client.post("/admin/queues/default/pause").status_code == 200
    expect(visitor.page.locator("#tile-held")).to_contain_text("default paused")

    assert stack.client.post("/admin/queues/default/resume").status_code == 200
    expect(visitor.page.locator("#tile-held")).to_contain_text("No queue is paused")
    visitor.check()


def test_focus_stays_where_it_is_while_the_list_changes(visitor: Visitor, stack: Stack) -> None:
    job_id = fail(stack)
    visitor.go("/admin/ui")
    button = visitor.page.locator(f"#retry-{job_id}")
    button.focus()

    other = fail(stack)

    expect(visitor.page.locator(f"#row-{other}")).to_be_visible()
    expect(button).to_be_focused()
    visitor.check()


def test_a_filter_that_is_being_typed_is_not_lost(visitor: Visitor, stack: Stack) -> None:
    visitor.go("/admin/ui/jobs")
    visitor.page.get_by_label("Type").fill("defau")

    job_id = stack.submit("ECHO", {"value": 1})

    expect(visitor.page.locator(f"#row-{job_id}")).to_be_visible()
    expect(visitor.page.get_by_label("Type")).to_have_value("defau")
    visitor.check()


def test_an_open_traceback_stays_open(visitor: Visitor, stack: Stack) -> None:
    job_id = stack.submit("RETRY", {"text": "soon again"})
    visitor.go(f"/admin/ui/jobs/{job_id}")
    visitor.page.get_by_text("Traceback", exact=True).click()
    trace = visitor.page.get_by_label("Traceback of attempt 1")
    expect(trace).to_be_visible()

    with visitor.page.expect_response("**/admin/ui/jobs/*"):
        pass

    expect(trace).to_be_visible()
    visitor.check()


def test_a_hidden_page_rests(visitor: Visitor, stack: Stack) -> None:
    visitor.go("/admin/ui/jobs")

    visitor.page.evaluate(HIDE, True)
    expect(visitor.page.locator("#pulse")).to_have_text("not live")
    job_id = stack.submit("ECHO", {"value": 1})
    stack.finish(job_id)
    visitor.page.evaluate(HIDE, False)

    expect(visitor.page.locator(f"#row-{job_id}")).to_be_visible()
    expect(visitor.page.locator("#pulse")).to_have_text("live")
    visitor.check()


def test_without_a_stream_the_page_asks(new_visitor: NewVisitor, stack: Stack) -> None:
    visitor = new_visitor(strict=False)  # the browser logs the refusal of the stream

    def refuse(route: Route) -> None:
        route.fulfill(status=503)

    visitor.page.route("**/admin/ui/live", refuse)
    visitor.page.goto(stack.url + "/admin/ui/jobs")
    expect(visitor.page.locator("#pulse")).to_have_text("asking")

    job_id = stack.submit("ECHO", {"value": 1})

    expect(visitor.page.locator(f"#row-{job_id}")).to_be_visible()


def test_a_page_whose_server_is_gone_says_so_and_comes_back(new_visitor: NewVisitor, tmp_path: Path) -> None:
    stack = Stack(tmp_path, SETTINGS)
    visitor = new_visitor(strict=False, at=stack)  # the browser logs every lost connection
    try:
        first = stack.start("dev")
        visitor.go("/admin/ui")
        assert stack.stop(first, by=signal.SIGTERM) == 0  # an open page holds no server up

        expect(visitor.page.locator("#pulse")).to_have_text("not live")
        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Failed Jobs")

        stack.start("dev")
        expect(visitor.page.locator("#pulse")).to_have_text("live")
    finally:
        stack.close()
