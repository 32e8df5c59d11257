"""Request bodies: counted while they stream in, and given a time to arrive."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from treadle.service.submit import LARGE_BYTES
from treadle.web.exchange import take_body
from treadle.web.problems import BODY_TIMEOUT, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, Refused
from treadle.web.request import Request

Answer = TypeVar("Answer")

BODY_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 32 * 1024
"""Each of these buys a body one more second: ten MiB over a slow line get in, a byte a second is cut at 30 s.
As Apache's mod_reqtimeout does with MinRate."""
IGNORED_BODY_BYTES = 1024
"""What a client may send to a POST that takes no body: ``{}`` and the like."""

# RFC 8259 knows no other encoding; the parameter itself is not registered, but many clients send it.
_JSON = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?;?', re.IGNORECASE)


async def read_json(request: Request, max_bytes: int) -> bytes:
    """The body of a request that must be JSON, unparsed. Raises ``Refused`` (408, 413, 415).

    The media type is also what keeps other sites' pages out of an API without keys: a browser asks before it
    sends this one across origins, and is never told yes.
    """
    media_type = request.field(b"content-type")
    if media_type != b"application/json" and not (_is_json(media_type) or _is_absent(request)):
        raise Refused(UNSUPPORTED_MEDIA_TYPE, "send the body as Content-Type: application/json, in UTF-8")
    encoding = request.field(b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        plain = {"Accept-Encoding": "identity"}
        raise Refused(UNSUPPORTED_MEDIA_TYPE, "send the body without a Content-Encoding", plain)
    return await read_body(request, max_bytes)


def _is_json(media_type: bytes | None) -> bool:
    return media_type is not None and _JSON.fullmatch(media_type) is not None


def _is_absent(request: Request) -> bool:
    """No body, so none whose type could be wrong: it is told that it is empty."""
    is_announced = request.has(b"content-type") or request.has(b"transfer-encoding")
    return not is_announced and request.declared_bytes == 0


async def ignore_body(request: Request) -> None:
    """Read past the body of a request that takes none. Raises ``Refused`` where it is more than a trifle."""
    await read_body(request, IGNORED_BODY_BYTES)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises ``Refused`` (408, 413), ``ClientDisconnect`` where nobody is left to be answered."""
    if request.declared_bytes > max_bytes:
        raise _too_large(max_bytes)
    body = take_body(request.scope)
    if body is not None:
        request.body_was_read = True
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    # Grows in place and gives its bytes away uncopied: pieces joined in the end would be there twice.
    received = io.BytesIO()
    begun = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(begun + BODY_SECONDS) as limit:
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                received.write(message.get("body", b""))
                request.body_was_read = not message.get("more_body", False)
                if received.tell() > max_bytes:
                    raise _too_large(max_bytes)
                if request.body_was_read:
                    return received.getvalue()
                limit.reschedule(begun + BODY_SECONDS + received.tell() / SLOWEST_BYTES_PER_SECOND)
    except TimeoutError:
        raise Refused(BODY_TIMEOUT, "the body did not arrive in time") from None


def _too_large(max_bytes: int) -> Refused:
    return Refused(TOO_LARGE, f"at most {max_bytes} bytes are taken here")


async def beside_loop(size_bytes: int, work: Callable[..., Answer], *arguments: object) -> Answer:
    """``work(*arguments)``: here where it is little, in a thread where it would hold up everybody else."""
    if size_bytes <= LARGE_BYTES:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)


async def until_disconnected(receive: Receive) -> None:
    """Return when the client has gone away, or the answer is complete."""
    while (await receive())["type"] != "http.disconnect":
        pass
