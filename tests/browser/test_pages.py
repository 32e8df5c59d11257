"""Every page in a real browser: it complains about nothing, fits a narrow screen, and reads for everybody.

The pictures it takes go to test-artifacts/pages, which git ignores: they are for looking at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SHOTS, NewVisitor
from tests.browser.scene import Scene, set_scene
from tests.flow.stack import Stack

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SIZES = {"wide": (1280, 800), "narrow": (360, 740)}
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

_RUN_AXE = """
async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .filter((v) => ["serious", "critical"].includes(v.impact))
    .map((v) => v.id + ": " + v.nodes.map((n) => n.target.join(" ") + " " + n.failureSummary).join(" | "))
"""


@pytest.fixture(scope="module")
def scene(stack: Stack) -> Scene:
    return set_scene(stack)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_every_page_is_sound(new_visitor: NewVisitor, scene: Scene, size: str, scheme: Scheme) -> None:
    width, height = SIZES[size]
    visitor = new_visitor(viewport={"width": width, "height": height}, color_scheme=scheme)
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name, path in scene.pages().items():
        visitor.go(path)
        if name == "overview":
            expect(visitor.page.locator("#chart canvas")).to_be_visible()
        visitor.page.screenshot(path=SHOTS / f"{name}-{scheme}-{size}.png", full_page=True)
        overhang = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overhang <= 0, f"{name} scrolls sideways by {overhang} pixels"
        assert visitor.page.evaluate("window.hacked ?? null") is None, name
        # Evaluated and not added to the page: the policy would refuse it there, as it should.
        visitor.page.evaluate(AXE.read_text("utf-8"))
        assert visitor.page.evaluate(_RUN_AXE) == [], name
        visitor.check()


def test_a_dark_page_is_dark(new_visitor: NewVisitor, scene: Scene) -> None:
    visitor = new_visitor(color_scheme="light")
    visitor.go("/admin/ui")
    light = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")

    visitor.page.get_by_role("button", name="Theme: Auto").click()
    visitor.page.get_by_role("button", name="Theme: Light").click()

    dark = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(246, 244, 241)", "rgb(23, 21, 19)")
    visitor.go("/admin/ui/jobs")  # chosen once, it holds on every page
    assert visitor.page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_what_a_job_holds_stays_text(new_visitor: NewVisitor, scene: Scene) -> None:
    visitor = new_visitor()
    visitor.page.on("dialog", lambda dialog: visitor.complaints.append(dialog.message))
    for path in (f"/admin/ui/jobs/{scene.failed}", "/admin/ui", "/admin/ui/jobs"):
        visitor.go(path)
        assert visitor.page.evaluate("window.hacked ?? null") is None
    visitor.go(f"/admin/ui/jobs/{scene.failed}")
    expect(visitor.page.locator(".fault")).to_contain_text("<script>window.hacked = true</script>")
    expect(visitor.page.locator(".fault")).to_contain_text("\\x1b[31mred")


def test_secrets_are_covered(new_visitor: NewVisitor, scene: Scene) -> None:
    visitor = new_visitor()
    visitor.go(f"/admin/ui/jobs/{scene.running}")

    expect(visitor.page.get_by_label("Payload")).to_contain_text('"password": "•••"')
    assert "hunter2" not in visitor.page.content()


def test_the_tiles_say_what_is_wrong(new_visitor: NewVisitor, scene: Scene) -> None:
    visitor = new_visitor()
    visitor.go("/admin/ui")

    expect(visitor.page.locator("#tile-starved")).to_contain_text("No live worker serves pictures")
    expect(visitor.page.locator("#tile-stuck")).to_contain_text("in pictures")


def test_everything_reads_and_every_button_works_without_scripts(
    new_visitor: NewVisitor, scene: Scene, stack: Stack
) -> None:
    visitor = new_visitor(java_script_enabled=False)
    page = visitor.page
    for path in scene.pages().values():
        page.goto(stack.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()

    page.goto(stack.url + "/admin/ui/jobs?status=dead")
    page.locator(f"#row-{scene.dead}").get_by_role("button", name="Retry").click()
    expect(page.locator("#said")).to_contain_text("Retried")
    assert page.url.startswith(stack.url + "/admin/ui/jobs?status=dead&")
    stack.finish(scene.dead)

    page.goto(stack.url + "/admin/ui")
    page.locator(f"#row-{scene.dead}").get_by_role("button", name="Move to DLQ").click()
    expect(page.locator("#said")).to_contain_text("Moved")
    assert stack.job(scene.dead)["status"] == "dead"

    page.goto(stack.url + "/admin/ui/dead")
    page.locator(f"#choose-{scene.dead}").check()
    page.get_by_role("button", name="Replay chosen").click()
    expect(page.locator("#said")).to_contain_text("1 job.")
    assert stack.finish(scene.dead)["attempts"] == 3

    page.goto(stack.url + "/admin/ui/queues")
    page.get_by_role("button", name="Pause pictures").click()
    expect(page.locator("#queue-pictures")).to_contain_text("paused")
    page.get_by_role("button", name="Resume pictures").click()
    expect(page.locator("#queue-pictures")).to_contain_text("no worker")
