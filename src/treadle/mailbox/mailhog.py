"""MailHog's JSON interface over the box, so that tests written for MailHog read this mailbox.

Paths, members and order are MailHog's; a number or a kind that makes no sense is a 400 here, where
MailHog silently takes its default.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from treadle.mailbox.box import Box, search
from treadle.mailbox.message import Message, as_mailhog

DEFAULT_LIMIT = 50
MAX_LIMIT = 250
"""MailHog's default and its most."""
SEARCH_KINDS = ("from", "to", "containing")
_NUMBER = re.compile(r"[0-9]{1,9}")


def json_response(body: Any, status: int = 200) -> Response:
    """``body`` as JSON."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


class MailHogApi:
    """The handlers. Parsing and encoding run in a thread: fifty messages may be tens of MiB."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def routes(self) -> list[Route]:
        """Everything below ``/api``."""
        return [
            Route("/api/v2/messages", self.page),
            Route("/api/v2/search", self.search),
            Route("/api/v1/messages", self.everything),
            Route("/api/v1/messages", self.delete_all, methods=["DELETE"]),
            Route("/api/v1/messages/{message_id}", self.one),
            Route("/api/v1/messages/{message_id}", self.delete, methods=["DELETE"]),
        ]

    async def page(self, request: Request) -> Response:
        """``{"total","count","start","items"}``, newest first."""
        start, limit = _range(request.query_params)
        messages = self._box.newest_first()
        return await asyncio.to_thread(_page, messages, start, limit)

    async def search(self, request: Request) -> Response:
        """The same shape over what matches; ``total`` is how many do."""
        query = request.query_params
        kind, wanted = query.get("kind", ""), query.get("query", "")
        if kind not in SEARCH_KINDS:
            raise HTTPException(400, "kind must be one of " + ", ".join(SEARCH_KINDS))
        if not wanted:
            raise HTTPException(400, "query must be the text to look for")
        start, limit = _range(query)
        found = await asyncio.to_thread(search, self._box.newest_first(), kind, wanted)
        return await asyncio.to_thread(_page, found, start, limit)

    async def everything(self, request: Request) -> Response:
        """A plain list of all messages, newest first."""
        return await asyncio.to_thread(_list, self._box.newest_first())

    async def one(self, request: Request) -> Response:
        """One message; 404 where there is none of that id."""
        message = self._box.get(request.path_params["message_id"])
        if message is None:
            raise HTTPException(404, "no message has this id")
        return await asyncio.to_thread(lambda: json_response(as_mailhog(message)))

    async def delete(self, request: Request) -> Response:
        """Delete one; 404 where there is none of that id."""
        if not self._box.delete(request.path_params["message_id"]):
            raise HTTPException(404, "no message has this id")
        return json_response({"deleted": 1})

    async def delete_all(self, request: Request) -> Response:
        """Empty the box."""
        return json_response({"deleted": self._box.delete_all()})


def _page(messages: Sequence[Message], start: int, limit: int) -> Response:
    items = [as_mailhog(message) for message in messages[start : start + limit]]
    return json_response({"total": len(messages), "count": len(items), "start": start, "items": items})


def _list(messages: Sequence[Message]) -> Response:
    return json_response([as_mailhog(message) for message in messages])


def _range(query: QueryParams) -> tuple[int, int]:
    """``start`` and ``limit``. All that is wrong with them is told at once."""
    start = _number(query.get("start", "0"))
    limit = _number(query.get("limit", str(DEFAULT_LIMIT)))
    problems = []
    if start is None:
        problems.append("start must be a whole number from 0 on")
    if limit is None or not 1 <= limit <= MAX_LIMIT:
        problems.append(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    if start is None or limit is None or problems:
        raise HTTPException(400, "; ".join(problems))
    return start, limit


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None
