"""Errors as answers (RFC 9457): one table from error class to HTTP status, and the only maker of error bodies.

What is said never holds a value that was sent, a stack, SQL or a path.
"""

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
    OutcomeUnknown,
    Overloaded,
    Problem,
    TreadleError,
    Unavailable,
    Unstorable,
)

MEDIA_TYPE = "application/problem+json"
KEY_RETRY_SECONDS = 1
"""A request with the same key is being stored: that takes milliseconds, and whole seconds are all the header has."""

_MAX_SPOKEN_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of error. ``detail`` is said instead of the error's own words, where those are not for clients."""

    slug: str
    status: int
    title: str
    detail: str | None = None


MALFORMED_JSON = Kind("malformed-json", 400, "The body is not strict JSON")
MALFORMED_HTTP = Kind("malformed-http", 400, "This is not HTTP/1.1")
INVALID_REQUEST = Kind("invalid-request", 400, "The request is not valid")
UNAUTHORIZED = Kind("unauthorized", 401, "Credentials are needed")
CSRF = Kind("csrf", 403, "A request from another site")
NOT_FOUND = Kind("not-found", 404, "No such thing")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "This method is not for this address")
HEADER_TIMEOUT = Kind("header-timeout", 408, "The header arrived too slowly")
BODY_TIMEOUT = Kind("body-timeout", 408, "The body arrived too slowly")
INVALID_STATE = Kind("invalid-state", 409, "The job's status does not allow this")
KEY_IN_FLIGHT = Kind("idempotency-key-in-flight", 409, "A request with this key is being stored")
GONE = Kind("gone", 410, "It is no longer there")
TOO_LARGE = Kind("too-large", 413, "The body is too large")
ADDRESS_TOO_LONG = Kind("address-too-long", 414, "The address is too long")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "The body's media type is not taken here")
RANGE_NOT_SATISFIABLE = Kind("range-not-satisfiable", 416, "The file ends before this range")
MISDIRECTED = Kind("misdirected-request", 421, "This server does not answer to that host name")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The key was used with another body")
TOO_MANY_REQUESTS = Kind("too-many-requests", 429, "Too many wrong tries")
HEADERS_TOO_LARGE = Kind("headers-too-large", 431, "The header fields are too large")
INTERNAL_ERROR = Kind(
    "internal-error", 500, "An unexpected error", "something unexpected went wrong; the server's log has this request"
)
STORE_UNAVAILABLE = Kind(
    "store-unavailable", 503, "The store does not answer", "the store does not answer; nothing was done, try again"
)
OUTCOME_UNKNOWN = Kind(
    "store-unavailable",
    503,
    "The store does not answer",
    "the store stopped answering halfway: this may have been done; an Idempotency-Key makes trying again safe",
)
OVERLOADED = Kind("overloaded", 503, "Too much is waiting", "too much is waiting to be stored; try again shortly")

_KIND_BY_ERROR: Mapping[type[BaseException], Kind] = {
    MalformedJson: MALFORMED_JSON,
    InvalidInput: INVALID_REQUEST,
    Unstorable: INVALID_REQUEST,
    NotFound: NOT_FOUND,
    IllegalTransition: INVALID_STATE,
    KeyInFlight: KEY_IN_FLIGHT,
    KeyReused: KEY_REUSED,
    Overloaded: OVERLOADED,
    OutcomeUnknown: OUTCOME_UNKNOWN,
    Unavailable: STORE_UNAVAILABLE,
}

_NOT_STORABLE = InvalidInput([Problem("", "not_storable", "the database refuses this data")])


class Refused(TreadleError):
    """This room's own refusals, which no floor below knows."""

    code = "http.refused"

    def __init__(self, kind: Kind, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.headers = dict(headers or {})
        super().__init__(detail)


def kind_of(error: BaseException) -> Kind:
    """The row of the table for ``error``: its class's, else its nearest parent's."""
    if isinstance(error, Refused):
        return error.kind
    return next((_KIND_BY_ERROR[c] for c in type(error).__mro__ if c in _KIND_BY_ERROR), INTERNAL_ERROR)


def problem_response(error: BaseException, request_id: str) -> Response:
    """The answer that ``error`` means."""
    kind = kind_of(error)
    if isinstance(error, Unstorable):
        error = _NOT_STORABLE
    detail = kind.detail or (_spoken(error.problems) if isinstance(error, InvalidInput) else str(error))
    members: dict[str, Any] = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": f"/requests/{request_id}",
        "errors": error.problems if isinstance(error, InvalidInput) else (),
        "error": detail,
    }
    return Response(msgspec.json.encode(members), kind.status, headers_of(error), MEDIA_TYPE)


def _spoken(problems: tuple[Problem, ...]) -> str:
    told = [f"{p.pointer}: {p.detail}" if p.pointer else p.detail for p in problems[:_MAX_SPOKEN_PROBLEMS]]
    more = len(problems) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def headers_of(error: BaseException) -> dict[str, str]:
    """The header fields that go with the answer to ``error``."""
    if isinstance(error, Refused):
        return error.headers
    if isinstance(error, KeyInFlight):
        return {"Retry-After": str(KEY_RETRY_SECONDS)}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(error.retry_after_seconds)}
    return {}
