"""A real Treadle, and a real browser in front of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser import chromium
from tests.flow.stack import Stack
from tests.waiting import eventually_blocking

SHOTS = Path(__file__).parents[2] / "test-artifacts" / "pages"
# This checkout's own Treadle, also where another one is installed.
_PYTHONPATH = os.pathsep.join([str(Path(__file__).parents[2] / "src"), str(Path(__file__).parent / "apps")])
SETTINGS = {
    "TREADLE_APP": "stage:app",
    "TREADLE_QUEUES": "default",
    "TREADLE_RETRY_BASE_SECONDS": "2",
    "PYTHONPATH": _PYTHONPATH,
}
LOGIN = {"username": "ada", "password": "lovelace-1843"}

expect.set_options(timeout=15_000)

_LISTENER = """
window.reports = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.reports.push(event.violatedDirective + " " + event.blockedURI));
"""


@dataclass
class Visitor:
    """Somebody at the page, and everything the browser complained about meanwhile."""

    stack: Stack
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page and wait until it is live."""
        self.page.goto(self.stack.url + path)
        expect(self.page.locator("#pulse")).to_have_attribute("data-state", "live")

    def check(self) -> None:
        """Nothing was complained about, by console, script or policy."""
        assert self.complaints == []
        assert self.page.evaluate("window.reports ?? []") == []


NewVisitor = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a module and not for all: while it is up a loop runs, and no asynchronous test could have its own."""
    with sync_playwright() as playwright:
        started = chromium.start(playwright)
        yield started
        started.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One for a module: a page shows whatever jobs there are, and each test looks for its own."""
    made = Stack(tmp_path_factory.mktemp("stack"), SETTINGS)
    made.start("dev")
    yield made
    made.close()


@pytest.fixture
def new_visitor(browser: Browser, stack: Stack) -> Iterator[NewVisitor]:
    """Makes visitors; what the browser complained about is looked at in the end, unless a test expects it."""
    made: list[Visitor] = []

    def make(*, strict: bool = True, at: Stack | None = None, **options: Any) -> Visitor:
        context = browser.new_context(**options)
        if options.get("java_script_enabled", True):
            context.add_init_script(_LISTENER)
        visitor = Visitor(at or stack, context, context.new_page())

        def remember(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                visitor.complaints.append(f"{message.type}: {message.text}")

        visitor.page.on("console", remember)
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(f"exception: {error}"))
        if strict:
            made.append(visitor)
        return visitor

    yield make
    for visitor in made:
        assert visitor.complaints == []
    for context in browser.contexts:
        context.close()


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()


def fail(stack: Stack, text: str = "the printer is on fire", **members: Any) -> str:
    """A job that has failed for good."""
    job_id = stack.submit("FAIL", {"text": text}, **members)
    assert stack.finish(job_id)["status"] == "failed"
    return job_id


def is_running(stack: Stack, job_id: str) -> None:
    """Return when the job runs."""
    eventually_blocking(lambda: stack.job(job_id)["status"] == "processing")


def status_of(stack: Stack, job_id: str, status: str) -> None:
    """Return when the API says so."""
    eventually_blocking(lambda: stack.job(job_id)["status"] == status)
