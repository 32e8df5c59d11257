"""The real browser of the tests: where it is, and how it is started.

.venv/bin/python -m tests.browser.chromium      start it once and say which it is
"""

from __future__ import annotations

import os
import shutil

from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

ARGUMENTS = (
    "--no-sandbox",  # root has no sandbox, and nothing but our own pages is opened
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that is no loopback name, for what browsers do only there: no Sec-Fetch-Site over plain HTTP.
    "--host-resolver-rules=MAP treadle.test 127.0.0.1",
)


def start(playwright: Playwright) -> Browser:
    """``TREADLE_BROWSER``, else the first browser on PATH, else Playwright's own; without any this fails."""
    named = os.environ.get("TREADLE_BROWSER")  # noqa: TID251  (the machine's business, not Treadle's)
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    return playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))


if __name__ == "__main__":
    with sync_playwright() as opened:
        started = start(opened)
        print(started.browser_type.name, started.version)
        started.close()
