"""Errors as ``application/problem+json`` (RFC 9457): the one table from error to status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from treadle.errors import (
    IllegalTransition,
    InvalidInput,
    KeyInFlight,
    KeyReused,
    MalformedJson,
    NotFound,
    Overloaded,
    TreadleError,
    Unavailable,
    Unstorable,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: the end of its ``type``, its status, its title."""

    slug: str
    status: int
    title: str


class HttpProblem(Exception):
    """A problem that HTTP itself makes: no route, no login, a body too large."""

    def __init__(self, kind: Kind, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.detail = detail
        self.headers = headers or {}
        super().__init__(detail)


UNAUTHORIZED = Kind("unauthorized", 401, "Credentials are needed")
CSRF = Kind("csrf", 403, "Cross-site request refused")
NOT_FOUND = Kind("not-found", 404, "Not found")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "Method not allowed")
BODY_TIMEOUT = Kind("body-timeout", 408, "The body did not arrive")
INVALID_STATE = Kind("invalid-state", 409, "The state does not allow this")
GONE = Kind("gone", 410, "Gone")
TOO_LARGE = Kind("too-large", 413, "Too large")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "Unsupported media type")
RANGE_NOT_SATISFIABLE = Kind("range-not-satisfiable", 416, "Range not satisfiable")
MISDIRECTED = Kind("misdirected-request", 421, "This host name is not served here")
TOO_MANY_REQUESTS = Kind("too-many-requests", 429, "Too many requests")
BAD_REQUEST = Kind("invalid-request", 400, "The request is not valid")
INTERNAL = Kind("internal-error", 500, "Something is wrong here")

# The first class that fits counts, so the narrower ones come first.
KINDS: tuple[tuple[type[TreadleError], Kind], ...] = (
    (MalformedJson, Kind("malformed-json", 400, "The body is not strict JSON")),
    (InvalidInput, BAD_REQUEST),
    (Unstorable, BAD_REQUEST),
    (NotFound, NOT_FOUND),
    (KeyReused, Kind("idempotency-key-reused", 422, "The idempotency key was used before")),
    (KeyInFlight, Kind("idempotency-key-in-flight", 409, "A request with this key is in flight")),
    (IllegalTransition, INVALID_STATE),
    (Overloaded, Kind("overloaded", 503, "Overloaded")),
    (Unavailable, Kind("store-unavailable", 503, "The store does not answer")),
)


def answer_to(error: TreadleError | HttpProblem, request_id: str) -> Response | None:
    """The answer, or ``None`` for an error that no client can have caused and the table does not know."""
    if isinstance(error, HttpProblem):
        return _response(error.kind, error.detail, request_id, headers=error.headers)
    kind = next((kind for known, kind in KINDS if isinstance(error, known)), None)
    if kind is None:
        return None
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(error.retry_after_seconds)
    elif isinstance(error, KeyInFlight):
        headers["Retry-After"] = "1"
    if isinstance(error, InvalidInput):
        listed = [{"pointer": p.pointer, "code": p.code, "detail": p.detail} for p in error.problems]
        first = error.problems[0]
        more = f" (and {len(listed) - 1} more)" if len(listed) > 1 else ""
        detail = f"{first.pointer}: {first.detail}{more}" if first.pointer else f"{first.detail}{more}"
        return _response(kind, detail, request_id, listed, headers)
    return _response(kind, str(error), request_id, headers=headers)


def internal(request_id: str) -> Response:
    """What a client learns of a bug: the id to ask about."""
    return _response(INTERNAL, "an unexpected error; the log has it under this request's id", request_id)


def _response(
    kind: Kind,
    detail: str,
    request_id: str,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": f"/requests/{request_id}",
        "errors": errors or [],
        "error": detail,
    }
    return Response(msgspec.json.encode(body), kind.status, dict(headers or {}), "application/problem+json")
