"""What an answer means: one of treadle's public errors, or none. The inverse of ``api/problems``."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from treadle.client.talk import Answer, NoAnswer
from treadle.errors import (
    Conflict,
    InvalidInput,
    KeyInFlight,
    KeyReused,
    MalformedJson,
    NotFound,
    Overloaded,
    Problem,
    TreadleError,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)

Decoded = TypeVar("Decoded")

MAX_RETRY_AFTER_SECONDS = 86_400
_MAX_SPOKEN_BYTES = 200


class _Told(msgspec.Struct):
    """A problem document (RFC 9457); whatever else stands before Treadle may answer without one."""

    type: str = ""
    title: str = ""
    detail: str = ""
    errors: tuple[Problem, ...] = ()


def error_of(reply: Answer | NoAnswer) -> TreadleError | None:
    """The error that ``reply`` means; ``None`` for a success."""
    if isinstance(reply, NoAnswer):
        return Unavailable(reply.detail)
    if 200 <= reply.status < 300:
        return None
    told = _told(reply)
    detail = told.detail or told.title or f"the server answered {reply.status}"
    slug = told.type.rpartition("/")[2]
    if reply.status in (400, 413, 414, 415, 431):
        problems = told.errors or (Problem("", slug or "refused", detail),)
        return MalformedJson(problems) if slug == "malformed-json" else InvalidInput(problems)
    if reply.status in (429, 503, 408, 502, 504):
        kind = Overloaded if slug in ("overloaded", "too-many-requests") else Unavailable
        return kind(detail, retry_after_seconds=retry_after_seconds(reply))
    plain = _PLAIN.get(slug) or _PLAIN_BY_STATUS.get(reply.status)
    if plain is not None:
        return plain(detail)
    request_id = reply.headers.get("x-request-id")
    under = f" (request {request_id} in its log)" if request_id else ""
    return UnexpectedAnswer(f"the server answered {reply.status}: {detail}{under}")


_PLAIN: dict[str, type[TreadleError]] = {
    "idempotency-key-in-flight": KeyInFlight,
    "idempotency-key-reused": KeyReused,
}
_PLAIN_BY_STATUS: dict[int, type[TreadleError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: Conflict,
    410: NotFound,
}


def retry_after_seconds(reply: Answer | NoAnswer) -> int:
    """What Retry-After says, in seconds; 0 where it says nothing, or a date: that would need the server's clock."""
    if isinstance(reply, NoAnswer):
        return 0
    said = reply.headers.get("retry-after", "").strip()
    return min(int(said[:9]), MAX_RETRY_AFTER_SECONDS) if said.isascii() and said.isdigit() else 0


def read(answer: Answer, kind: type[Decoded]) -> Decoded:
    """The body of a success. Raises ``UnexpectedAnswer``: something else than Treadle may listen there."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnexpectedAnswer(f"the server's answer is not what Treadle answers ({error})") from None


def _told(answer: Answer) -> _Told:
    try:
        return msgspec.json.decode(answer.body, type=_Told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Told(detail=_first_words(answer))


def _first_words(answer: Answer) -> str:
    """A proxy's own words, where they are plain text."""
    if not answer.headers.get("content-type", "").startswith("text/plain"):
        return ""
    text = answer.body[:_MAX_SPOKEN_BYTES].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def member(answer: Answer, name: str) -> Any:
    """One member of a success that is an object. Raises ``UnexpectedAnswer``."""
    members = read(answer, dict[str, Any])
    if name not in members:
        raise UnexpectedAnswer(f"the server's answer has no member {name}: that is not what Treadle answers")
    return members[name]
