"""What the buttons do, told by the API and not by the page."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Visitor, fail, is_running, status_of
from tests.flow.stack import Stack


def test_a_submitted_job_appears_without_a_reload(visitor: Visitor, stack: Stack) -> None:
    visitor.go("/admin/ui/jobs")
    visitor.page.evaluate("window.sameDocument = true")

    job_id = stack.submit("ECHO", {"value": 1})

    expect(visitor.page.locator(f"#row-{job_id}")).to_be_visible()
    assert visitor.page.evaluate("window.sameDocument") is True
    visitor.check()


def test_a_failed_job_appears_in_the_table_and_is_retried(visitor: Visitor, stack: Stack) -> None:
    visitor.go("/admin/ui")
    job_id = fail(stack)
    row = visitor.page.locator(f"#failed #row-{job_id}")
    expect(row).to_contain_text("the printer is on fire")

    row.get_by_role("button", name="Retry").click()

    expect(visitor.page.locator("#said")).to_contain_text("Retried")
    again = stack.finish(job_id)
    assert (again["status"], again["attempts"]) == ("failed", 2)
    visitor.check()


def test_a_failed_job_is_moved_to_the_dead_letters(visitor: Visitor, stack: Stack) -> None:
    job_id = fail(stack)
    visitor.go("/admin/ui")

    visitor.page.locator(f"#row-{job_id}").get_by_role("button", name="Move to DLQ").click()

    expect(visitor.page.locator(f"#row-{job_id}")).to_have_count(0)
    assert stack.job(job_id)["status"] == "dead"
    visitor.go("/admin/ui/dead")
    expect(visitor.page.locator(f"#row-{job_id}")).to_be_visible()
    visitor.check()


def test_a_waiting_job_is_cancelled(visitor: Visitor, stack: Stack) -> None:
    job_id = stack.submit("ECHO", {}, delaySeconds=3600)
    visitor.go(f"/admin/ui/jobs/{job_id}")

    visitor.page.get_by_role("button", name="Cancel").click()

    expect(visitor.page.locator(".heading .status")).to_have_text("cancelled")
    assert stack.job(job_id)["status"] == "cancelled"
    visitor.check()


def test_a_running_job_is_asked_to_stop(visitor: Visitor, stack: Stack) -> None:
    job_id = stack.submit("WAIT", {"seconds": 300})
    is_running(stack, job_id)
    visitor.go(f"/admin/ui/jobs/{job_id}")

    visitor.page.get_by_role("button", name="Cancel").click()

    expect(visitor.page.locator("#said")).to_contain_text("Asked to stop")
    status_of(stack, job_id, "cancelled")
    expect(visitor.page.locator(".heading .status")).to_have_text("cancelled")
    visitor.check()


def test_a_queue_is_paused_and_resumed(visitor: Visitor, stack: Stack) -> None:
    def is_paused() -> bool:
        listed = stack.client.get("/admin/queues").json()["queues"]
        return next(bool(queue["paused"]) for queue in listed if queue["name"] == "default")

    visitor.go("/admin/ui/queues")
    row = visitor.page.locator("#queue-default")

    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    assert is_paused()
    held = stack.submit("ECHO", {"value": 2})
    visitor.go(f"/admin/ui/jobs/{held}")
    expect(visitor.page.locator(".reason")).to_contain_text("Held")

    visitor.go("/admin/ui/queues")
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("open")
    assert not is_paused()
    assert stack.finish(held)["status"] == "completed"
    visitor.check()


def test_chosen_dead_letters_are_replayed(visitor: Visitor, stack: Stack) -> None:
    chosen, left = fail(stack), fail(stack)
    for job_id in (chosen, left):
        assert stack.client.post(f"/admin/jobs/{job_id}/dlq").status_code == 200
    visitor.go("/admin/ui/dead")
    box = visitor.page.locator(f"#choose-{chosen}")
    box.check()

    # A tick survives that the list is made anew.
    other = fail(stack)
    assert stack.client.post(f"/admin/jobs/{other}/dlq").status_code == 200
    expect(visitor.page.locator(f"#row-{other}")).to_be_visible()
    expect(box).to_be_checked()
    visitor.page.get_by_role("button", name="Replay chosen").click()

    expect(visitor.page.locator("#said")).to_contain_text("Replayed")
    assert stack.finish(chosen)["attempts"] == 2
    assert stack.job(left)["status"] == "dead"
    visitor.check()


def test_an_action_that_came_too_late_says_so_and_leaves_the_page(visitor: Visitor, stack: Stack) -> None:
    job_id = fail(stack)
    visitor.go("/admin/ui")
    row = visitor.page.locator(f"#row-{job_id}")
    expect(row).to_be_visible()
    # Kept from hearing that somebody else was faster.
    visitor.page.route("**/admin/ui", lambda route: route.abort())
    assert stack.client.post(f"/admin/jobs/{job_id}/dlq").status_code == 200

    row.get_by_role("button", name="Move to DLQ").click()

    expect(visitor.page.locator("#trouble")).to_contain_text("cannot be moved")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Failed Jobs")
    visitor.complaints.clear()  # the browser logs every 409, and the refreshes that were kept from the page


def test_a_file_is_downloaded(visitor: Visitor, stack: Stack) -> None:
    job_id = stack.submit("CSV_EXPORT", {"data": [{"name": "Ada"}]})
    stack.finish(job_id)
    visitor.go(f"/admin/ui/jobs/{job_id}")

    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("link", name="Download").click()

    assert download.value.path().read_bytes() == (stack.output / f"{job_id}.csv").read_bytes()
    visitor.check()
