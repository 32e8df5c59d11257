"""Doors: the rows of a route table, each with its guard, and the routes made of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from treadle.web.guards import Guard, Guards
from treadle.web.problems import METHOD_NOT_ALLOWED, Refused
from treadle.web.request import REQUEST, Request

Handler = Callable[[Request], Awaitable[Response]]
Explain = Callable[[Request, Exception], Response | None]
"""Another answer to an error than a problem document; ``None`` where that is the right one."""


@dataclass(frozen=True, slots=True)
class Door:
    """One row of the route table. A door without a guard cannot be made."""

    method: str
    path: str
    guard: Guard
    handler: Handler


def routes_of(doors: Iterable[Door], guards: Guards, explain: Explain | None = None) -> list[Route]:
    """One route a path, in the order of the table. ``explain`` may answer an error in the room's own way."""
    by_path: dict[str, list[Door]] = {}
    for door in doors:
        by_path.setdefault(door.path, []).append(door)
    return [Route(path, _Resource(path, same_path, guards, explain)) for path, same_path in by_path.items()]


class _Resource:
    """All doors of one path as a bare ASGI application: nothing between the guard and the handler."""

    def __init__(self, path: str, doors: Sequence[Door], guards: Guards, explain: Explain | None) -> None:
        self._path = path
        self._doors = {door.method: door for door in doors}
        if "GET" in self._doors:
            self._doors["HEAD"] = self._doors["GET"]
        self._allow = {"Allow": ", ".join(sorted(self._doors))}
        self._guards = guards
        self._explain = explain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request = scope[REQUEST]
        request.route = self._path
        try:
            response = await self._answer(request)
        except Exception as error:
            explained = self._explain(request, error) if self._explain is not None else None
            if explained is None:
                raise
            response = explained
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        door = self._doors.get(request.method)
        if door is None:
            raise Refused(METHOD_NOT_ALLOWED, f"here only {self._allow['Allow']}", self._allow)
        self._guards.admit(door.guard, request)
        return await door.handler(request)
