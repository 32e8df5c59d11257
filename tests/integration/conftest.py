"""The running stack: where it is, and clients of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import eventually_blocking

_SAID = os.environ  # noqa: TID251  (how the caller says where his stack is)
URL = _SAID.get("TREADLE_TEST_STACK_URL")

collect_ignore_glob = [] if URL else ["test_*.py"]


@dataclass(frozen=True)
class Stack:
    """A running Treadle. ``admin`` shows the login where there is one."""

    client: httpx.Client
    admin: httpx.Client
    mailbox: httpx.Client
    output: Path
    login: tuple[str, str] | None

    def submit(self, type_name: str, payload: Any, **members: Any) -> str:
        """A job's id."""
        answer = self.client.post("/jobs", json={"type": type_name, "payload": payload, **members})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["jobId"])

    def finish(self, job_id: str) -> dict[str, Any]:
        """The job once it is final."""

        def final() -> dict[str, Any] | None:
            job: dict[str, Any] = self.client.get(f"/jobs/{job_id}", params={"wait": "10"}).json()
            return job if job["status"] in {"completed", "failed", "dead", "cancelled"} else None

        found = eventually_blocking(final, within_seconds=60)
        assert found is not None
        return found


def told(name: str) -> str:
    """What the caller must say. Fails where he did not."""
    value = _SAID.get(name)
    assert value, f"{name} is not set: tests/integration needs to know it"
    return value


@pytest.fixture
def stack() -> Iterator[Stack]:
    user, password = _SAID.get("ADMIN_USER"), _SAID.get("ADMIN_PASS")
    login = (user, password) if user and password else None
    address = told("TREADLE_TEST_STACK_URL")
    with (
        httpx.Client(base_url=address, timeout=60) as client,
        httpx.Client(base_url=address, timeout=60, auth=login) as admin,
        httpx.Client(base_url=told("TREADLE_TEST_STACK_MAIL_URL"), timeout=60) as mailbox,
    ):
        yield Stack(client, admin, mailbox, Path(told("TREADLE_TEST_STACK_OUTPUT")), login)


@pytest.fixture
def mark() -> str:
    """What no other run of these tests wrote: the stack keeps what earlier ones did."""
    return secrets.token_hex(8)
