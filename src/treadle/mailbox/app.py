"""The mailbox's web application: pages for people, MailHog's JSON for tests, behind one guard.

Served by whoever runs the process; it opens no socket and reads no settings.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from treadle.hostname import HostNames
from treadle.mailbox.box import Box
from treadle.mailbox.guard import Guard
from treadle.mailbox.mailhog import MailHogApi, json_response
from treadle.mailbox.pages import Pages, base_of

API_URL = "http://localhost:3000"
"""Where the job server listens unless told otherwise."""

_STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {".css": "text/css", ".svg": "image/svg+xml"}


def create_app(
    box: Box,
    host_names: HostNames | None = None,
    *,
    api_url: str = API_URL,
) -> Starlette:
    """An ASGI application over ``box``; may be mounted below a path.

    ``host_names``: what it answers to, this machine's own names without it. ``api_url``: where the job server
    listens, for the example on the empty page.
    """
    pages = Pages(box, api_url)

    async def refuse(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):  # it is registered for no other
            raise error
        if request.scope["path"].removeprefix(base_of(request)).startswith("/api/"):
            answer = json_response({"error": error.detail}, error.status_code)
        else:
            answer = pages.error(base_of(request), error.status_code, error.detail)
        answer.headers.update(error.headers or {})
        return answer

    return Starlette(
        routes=[
            *pages.routes(),
            *MailHogApi(box).routes(),
            *(_static_route(path) for path in sorted(_STATIC.iterdir()) if path.suffix in _MEDIA_TYPES),
            Route("/live", _live),
        ],
        middleware=[Middleware(Guard, host_names=host_names or HostNames())],
        exception_handlers={HTTPException: refuse},
    )


async def _live(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _static_route(path: Path) -> Route:
    """One route per file that is there: no path from a request ever meets the disk."""
    content, media_type = path.read_bytes(), _MEDIA_TYPES[path.suffix]

    async def serve(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return Route(f"/static/{path.name}", serve)
