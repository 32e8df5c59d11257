"""Everything a person on call does, without a mouse."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Visitor, fail
from tests.flow.stack import Stack
from tests.waiting import eventually_blocking


def test_rows_are_walked_and_acted_on(visitor: Visitor, stack: Stack) -> None:
    older, newer = fail(stack), fail(stack)
    visitor.go("/admin/ui")
    keyboard = visitor.page.keyboard

    keyboard.press("j")
    expect(visitor.page.locator(f"#row-{newer} [data-open]")).to_be_focused()
    keyboard.press("j")
    expect(visitor.page.locator(f"#row-{older} [data-open]")).to_be_focused()
    keyboard.press("r")
    expect(visitor.page.locator("#said")).to_contain_text(older)
    assert stack.finish(older)["attempts"] == 2

    visitor.page.locator(f"#row-{newer} [data-open]").focus()
    keyboard.press("D")
    expect(visitor.page.locator("#said")).to_contain_text("dead-letter")
    assert stack.job(newer)["status"] == "dead"
    visitor.check()


def test_a_row_is_opened_and_its_job_acted_on(visitor: Visitor, stack: Stack) -> None:
    job_id = stack.submit("ECHO", {}, delaySeconds=3600)
    visitor.go("/admin/ui/jobs")
    visitor.page.keyboard.press("j")
    expect(visitor.page.locator(f"#row-{job_id} [data-open]")).to_be_focused()

    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url(f"**/jobs/{job_id}")
    expect(visitor.page.locator("#pulse")).to_have_attribute("data-state", "live")
    visitor.page.keyboard.press("C")

    expect(visitor.page.locator("#said")).to_contain_text("Cancelled")
    assert stack.job(job_id)["status"] == "cancelled"
    visitor.check()


def test_dead_letters_are_chosen_and_replayed(visitor: Visitor, stack: Stack) -> None:
    job_id = fail(stack)
    assert stack.client.post(f"/admin/jobs/{job_id}/dlq").status_code == 200
    visitor.go("/admin/ui/dead")

    visitor.page.keyboard.press("j")
    visitor.page.keyboard.press("x")

    expect(visitor.page.locator(f"#choose-{job_id}")).to_be_checked()
    visitor.page.get_by_role("button", name="Replay chosen").focus()
    visitor.page.keyboard.press("Enter")
    # Until it is requeued it is final already, with one attempt.
    eventually_blocking(lambda: stack.finish(job_id)["attempts"] == 2)
    visitor.check()


def test_pages_are_a_letter_away(visitor: Visitor) -> None:
    visitor.go("/admin/ui")
    for letter, path in (("j", "jobs"), ("q", "queues"), ("w", "workers"), ("d", "dead"), ("o", "")):
        visitor.page.keyboard.press("g")
        visitor.page.keyboard.press(letter)
        visitor.page.wait_for_url(f"**/admin/ui{'/' if path else ''}{path}")
        expect(visitor.page.locator("#help")).to_be_visible()
    visitor.check()


def test_typing_into_a_filter_is_no_command(visitor: Visitor) -> None:
    visitor.go("/admin/ui/jobs")

    visitor.page.keyboard.press("/")
    expect(visitor.page.get_by_label("Type")).to_be_focused()
    visitor.page.keyboard.type("rDCgjx?")
    expect(visitor.page.get_by_label("Type")).to_have_value("rDCgjx?")
    visitor.page.keyboard.press("Enter")

    visitor.page.wait_for_url("**/admin/ui/jobs?type=rDCgjx*")
    expect(visitor.page.locator(".empty")).to_contain_text("No job fits")
    visitor.check()


def test_the_keys_are_listed(visitor: Visitor) -> None:
    visitor.go("/admin/ui")

    visitor.page.keyboard.press("?")
    dialog = visitor.page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    visitor.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    visitor.check()


def test_the_tab_key_reaches_everything_in_order(visitor: Visitor, stack: Stack) -> None:
    job_id = fail(stack)
    visitor.go("/admin/ui")

    seen = []
    for _ in range(25):
        visitor.page.keyboard.press("Tab")
        seen.append(visitor.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))

    wanted = ["To the content", "Overview", "Dead letters", "theme", "help", "tile-stuck", job_id, f"retry-{job_id}"]
    assert [name for name in dict.fromkeys(seen) if name in wanted] == wanted
    visitor.check()
