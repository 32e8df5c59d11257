"""What every test run needs: the servers it may start, named in its header, and their end."""

from __future__ import annotations

from tests.servers import running


def pytest_report_header() -> str:
    return "servers: " + ", ".join(running.names())


def pytest_unconfigure() -> None:
    running.end_all()
