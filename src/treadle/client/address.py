"""What both clients know of their server before they send anything, and how an ``Ask`` becomes httpx's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from treadle.client.talk import Ask, NoAnswer
from treadle.errors import InvalidInput, Problem

DEFAULT_URL = "http://127.0.0.1:3000"
DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is, what it is shown, and how long one request may take beyond what it waits for."""

    url: str
    key: str | None
    admin: tuple[str, str] | None
    timeout_seconds: float

    def __post_init__(self) -> None:
        problems = []
        try:
            parsed = httpx.URL(self.url)
            is_address = (
                parsed.scheme in ("http", "https")
                and bool(parsed.host)
                and not (parsed.userinfo or parsed.query or parsed.fragment)
            )
        except (httpx.InvalidURL, TypeError):
            is_address = False
        if not is_address:
            problems.append(Problem("/url", "url", "expected http://HOST:PORT or https://HOST, without a login in it"))
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and self.key.strip()):
            problems.append(Problem("/key", "api_key", "an API key is printable ASCII text"))
        if not self.timeout_seconds > 0:
            problems.append(Problem("/timeout_seconds", "range", "expected more than 0 seconds"))
        if problems:
            raise InvalidInput(problems)

    def arguments(self, ask: Ask) -> Mapping[str, Any]:
        """What ``httpx``'s ``stream`` takes for ``ask``."""
        headers = dict(ask.headers)
        login: tuple[str, str] | None = None
        if ask.is_admin and self.admin is not None:
            login = self.admin
        elif not ask.is_admin and self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        return {
            "method": ask.method,
            "url": self.url.rstrip("/") + ask.path,
            "params": dict(ask.query) or None,
            "headers": headers,
            "content": ask.body,
            "auth": login,
            "timeout": httpx.Timeout(self.timeout_seconds, read=self.timeout_seconds + ask.patience_seconds),
        }


def no_answer(error: httpx.TransportError) -> NoAnswer:
    """What a failed connection means; only before it stood is it certain that nothing was seen."""
    was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    if isinstance(error, httpx.TimeoutException):
        return NoAnswer("the server did not answer in time", was_sent)
    if not was_sent:
        return NoAnswer(f"no connection to the server ({error})", was_sent)
    return NoAnswer(f"the connection to the server broke ({str(error) or type(error).__name__})", was_sent)
