"""What a worker weighs that has nothing to do: there may be hundreds of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.conftest import NewStack

RSS_BYTES = 60_000_000
NOT_FOR_WORKERS = {
    "httptools", "httpx", "jinja2", "prometheus_client", "pydantic", "pydantic_core", "rich", "starlette", "typer",
    "uvicorn",
}  # fmt: skip
"""Packages of the parser, of the rooms that speak HTTP, and of the clients."""


@pytest.mark.parametrize("arguments", [(), ("--app", "weight:app")])
def test_a_worker_holds_little_and_imports_what_it_needs(new_stack: NewStack, arguments: tuple[str, ...]) -> None:
    stack = new_stack({"TREADLE_APP": "weight:app"})
    stack.start("api")
    worker = stack.start("worker", arguments=arguments)

    done = stack.finish(stack.submit("IMPORTED", {}))

    assert NOT_FOR_WORKERS.isdisjoint(done["result"])
    assert {"treadle", "msgspec"} <= set(done["result"])
    assert rss_bytes(worker.pid) < RSS_BYTES


def rss_bytes(pid: int) -> int:
    kilobytes = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]
    return int(kilobytes) * 1024
