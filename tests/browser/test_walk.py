"""Somebody on call, by keyboard alone: finds the mail that failed, reads why, mends it, replays, sees it go out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SETTINGS, SHOTS, NewVisitor
from tests.flow.stack import Stack

pytestmark = pytest.mark.flow

MAIL = {"to": "grace@example.com", "subject": "Your export", "body": "It is ready."}


@pytest.fixture(scope="module")
def unmailed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose mail server does not run."""
    made = Stack(tmp_path_factory.mktemp("unmailed"), SETTINGS)
    made.start("api")
    made.start("worker")
    yield made
    made.close()


def text_of_focus(page: Page) -> str:
    """What a screen reader would name."""
    return str(page.evaluate("document.activeElement.innerText"))


def test_a_failing_mail_is_found_understood_and_replayed(new_visitor: NewVisitor, unmailed: Stack) -> None:
    for n in range(3):
        unmailed.finish(unmailed.submit("ECHO", {"value": n}))
    mail = unmailed.submit("EMAIL_SEND", MAIL, maxAttempts=1)
    assert unmailed.finish(mail)["status"] == "failed"
    visitor = new_visitor()
    visitor.page.set_viewport_size({"width": 1280, "height": 800})
    visitor.stack = unmailed
    visitor.go("/admin/ui")
    page, keyboard = visitor.page, visitor.page.keyboard

    # Find it: the first row of the failed jobs. Read why: its page says so in words.
    expect(page.locator("#tile-failing")).to_contain_text("Yes")
    keyboard.press("j")
    assert text_of_focus(page) == mail
    keyboard.press("Enter")
    page.wait_for_url(f"**/jobs/{mail}")
    expect(page.locator("#pulse")).to_have_attribute("data-state", "live")
    expect(page.locator(".fault")).to_contain_text(f"127.0.0.1:{unmailed.smtp_port}")
    page.screenshot(path=SHOTS / "walk-1-why.png")

    # Mend the server, replay, and see it complete on the page that is open.
    page.evaluate("window.isTheSamePage = true")
    unmailed.start("mailbox")
    keyboard.press("r")
    expect(page.locator("#said")).to_contain_text("Retried")
    expect(page.locator(".heading .status")).to_have_text("completed")
    assert page.evaluate("window.isTheSamePage")
    page.screenshot(path=SHOTS / "walk-2-completed.png")

    # On the overview nothing of it is left.
    keyboard.press("g")
    keyboard.press("o")
    page.wait_for_url("**/admin/ui")
    expect(page.locator(f"#row-{mail}")).to_have_count(0)
    expect(page.locator("#tile-failing")).to_contain_text("No")
    [sent] = unmailed.client.get(f"{unmailed.mail_url}/api/v2/messages").json()["items"]
    assert sent["Content"]["Headers"]["Subject"] == ["Your export"]
    visitor.check()
