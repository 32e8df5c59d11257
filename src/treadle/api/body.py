"""Request bodies: counted while they stream, of the right media type, and never waited for without end."""

from __future__ import annotations

import asyncio
import re

from starlette.requests import Request

from treadle.api.problems import BODY_TIMEOUT, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, HttpProblem

BODY_SECONDS = 30.0
"""A whole body must arrive within this; then the connection is closed."""
MAX_IGNORED_BYTES = 1024
_JSON = re.compile(r"application/json\s*(;\s*charset\s*=\s*\"?utf-8\"?\s*)?", re.IGNORECASE)
_CLOSE = {"Connection": "close"}


async def read_json_body(request: Request, max_bytes: int) -> bytes:
    """The body of a JSON request. Raises ``HttpProblem`` 408, 413, 415."""
    if not _JSON.fullmatch(request.headers.get("content-type", "").strip()):
        raise HttpProblem(UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json (UTF-8)", _CLOSE)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HttpProblem(UNSUPPORTED_MEDIA_TYPE, "send the body without Content-Encoding", _CLOSE)
    return await _read(request, max_bytes)


async def ignore_body(request: Request) -> None:
    """Read what a client sent where nothing is wanted. Raises ``HttpProblem`` 413 past 1 KiB."""
    await _read(request, MAX_IGNORED_BYTES)


async def _read(request: Request, max_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared[:19]) > max_bytes:
        raise HttpProblem(TOO_LARGE, f"a body may hold at most {max_bytes} bytes", _CLOSE)
    chunks: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise HttpProblem(TOO_LARGE, f"a body may hold at most {max_bytes} bytes", _CLOSE)
                chunks.append(chunk)
    except TimeoutError:
        raise HttpProblem(BODY_TIMEOUT, f"the body did not arrive within {BODY_SECONDS:g} s", _CLOSE) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
