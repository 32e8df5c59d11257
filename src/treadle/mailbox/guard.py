"""What every request passes before it is answered, and what every answer carries.

The mailbox has no login, so a page on another site must neither read it (``hostname``, no CORS) nor change it (no
writes from another origin).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from treadle.hostname import HOW_TO_ALLOW, HostNames

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
"""For somebody else's HTML: an origin of its own, no script, no form, and nothing fetched from anywhere."""

# An answer that sets one of them itself keeps its own.
_ANSWER_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware; it answers to ``host_names`` alone."""

    def __init__(self, app: ASGIApp, host_names: HostNames) -> None:
        self._app = app
        self._host_names = host_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 403, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ANSWER_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        reason = self._objection(scope["method"], Headers(scope=scope))
        answer = PlainTextResponse(reason + "\n", 403) if reason else self._app
        await answer(scope, receive, send_guarded)

    def _objection(self, method: str, headers: Headers) -> str:
        host = headers.get("host", "")
        if not self._host_names.have(host):
            return f"This mailbox does not answer to that host name; {HOW_TO_ALLOW}."
        if method not in _SAFE_METHODS and not _is_same_origin(method, headers, host):
            return "This mailbox takes no changes from other sites."
        return ""


def _is_same_origin(method: str, headers: Headers, host: str) -> bool:
    """The browser's word (Fetch Metadata), else the origin it names.

    With neither, a form's POST is refused: browsers name an origin there. A DELETE is let through: no
    form can send it, a script of another site would have to ask first (CORS) and is never told yes, and
    test suites send it without either header.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return method == "DELETE"
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.strip().lower()
    except ValueError:
        return False
