"""``Request``: one HTTP request as this room sees it, made once, by the front, from the ASGI scope."""

from __future__ import annotations

import re
import secrets
from itertools import count

from starlette.types import Receive, Scope

from treadle.errors import NotFound
from treadle.ids import JobId, parse_job_id
from treadle.web.problems import INVALID_REQUEST, Refused

REQUEST = "treadle.request"
"""Where the scope keeps the ``Request``."""

ANONYMOUS = "anonymous"

_PROCESS = secrets.token_hex(4)
_numbers = count()

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def new_request_id() -> str:
    """An id that no other request of this process has, and none of another to speak of. It is no secret."""
    return f"{_PROCESS}{next(_numbers):08x}"


class Request:
    """Header fields are looked up often and by few names, so they are a dictionary."""

    __slots__ = ("_fields", "_has_repeated", "body_was_read", "client", "id", "receive", "route", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.client = ANONYMOUS
        """The scope of idempotency keys: the name of the API key that was shown."""
        self.body_was_read = False
        self.route: str | None = None
        """The template of the path, once it is routed."""
        fields = scope["headers"]
        self._fields: dict[bytes, bytes] = dict(fields)
        self._has_repeated = len(self._fields) < len(fields)
        sent = self._fields.get(b"x-request-id")
        self.id = sent.decode("ascii") if sent and _REQUEST_ID.fullmatch(sent) else new_request_id()

    @property
    def method(self) -> str:
        """``GET``, ``POST``, ..."""
        method: str = self.scope["method"]
        return method

    @property
    def query(self) -> bytes:
        """The query string, still encoded."""
        query: bytes = self.scope["query_string"]
        return query

    @property
    def header_bytes(self) -> int:
        """How large the header fields are, all in all."""
        size = 0
        for name, value in self.scope["headers"]:
            size += len(name) + len(value)
        return size

    @property
    def declared_bytes(self) -> int:
        """What Content-Length says of the body; 0 where it says nothing."""
        declared = self._fields.get(b"content-length", b"")
        return int(declared[:18]) if declared.isdigit() else 0

    @property
    def address(self) -> str:
        """Who is at the other end of the connection; no header can claim another."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    def path(self, name: str) -> str:
        """The part of the path that the route calls ``name``."""
        value: str = self.scope["path_params"][name]
        return value

    def field(self, name: bytes) -> bytes | None:
        """A header field (lower-case name) without white space around it. Raises ``Refused`` where it came twice.

        Two of a kind are how one hop is made to see another request than the next (request smuggling).
        """
        value = self._fields.get(name)
        if self._has_repeated and [known for known, _ in self.scope["headers"]].count(name) > 1:
            raise Refused(INVALID_REQUEST, f"the header field {name.decode()} may be given only once")
        return None if value is None else value.strip()

    def only_field(self, name: bytes) -> bytes | None:
        """``field`` for one that decides nothing: where it came twice it counts as not there."""
        try:
            return self.field(name)
        except Refused:
            return None

    def has(self, name: bytes) -> bool:
        """Whether there is any header field of this (lower-case) name."""
        return name in self._fields


def job_id_of(request: Request) -> JobId:
    """The id in the path, in its canonical form. Raises ``NotFound``: what is no id belongs to no job."""
    job_id = parse_job_id(request.path("job_id"))
    if job_id is None:
        raise NotFound("no job has this id")
    return job_id
