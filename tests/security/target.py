"""A real Treadle to aim at, with keys and a login, and clients that come from addresses of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.flow.stack import Stack
from tests.servers.rungs import RUNGS

KEYS = ("tk_0123456789abcdef", "tk_fedcba9876543210")
LOGIN = ("ada", "pass:word-4712")
CLOSED = {"TREADLE_API_KEYS": ",".join(KEYS), "ADMIN_USER": LOGIN[0], "ADMIN_PASS": LOGIN[1]}


class Target:
    """One running server."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = stack.new_client()

    def send(
        self,
        method: str,
        path: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        client: httpx.Client | None = None,
    ) -> httpx.Response:
        """One request with the credentials that its path asks for, unless it brings some itself."""
        request = (client or self.client).build_request(method, path, content=content, headers=dict(headers or {}))
        if not content and method in {"GET", "HEAD", "OPTIONS", "TRACE"}:
            request.headers.pop("content-length", None)
        if "authorization" not in request.headers:
            auth = httpx.BasicAuth(*LOGIN) if path.startswith("/admin") else None
            if auth is not None:
                request = next(auth.auth_flow(request))
            else:
                request.headers["authorization"] = f"Bearer {KEYS[0]}"
        return (client or self.client).send(request)

    def count(self) -> int:
        """All jobs there are, in one look."""
        answer = self.send("GET", "/admin/stats")
        assert answer.status_code == 200, answer.text
        return sum(answer.json()["counts"].values())

    @contextmanager
    def client_at(self, address: str) -> Iterator[httpx.Client]:
        """A client whose connections come from ``address``, one of the loopback network's."""
        transport = httpx.HTTPTransport(local_address=address)
        with httpx.Client(base_url=self.stack.url, transport=transport, timeout=60) as client:
            yield client


@contextmanager
def open_target(folder: Path, rung: str, command: str, settings: Mapping[str, str] | None = None) -> Iterator[Target]:
    """``treadle COMMAND`` on ``rung``, closed to whoever has neither key nor login."""
    with RUNGS[rung]() as rung_settings:
        stack = Stack(folder, {**rung_settings, **CLOSED, **(settings or {})})
        try:
            stack.start(command)
            target = Target(stack)
            yield target
            target.client.close()
        finally:
            stack.close()
