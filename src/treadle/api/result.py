"""``GET /jobs/{id}/result``: the file a job made, whole or in part."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from treadle.api.jobs import job_id_of
from treadle.api.problems import GONE, INVALID_STATE, RANGE_NOT_SATISFIABLE, HttpProblem
from treadle.api.query import read_query
from treadle.errors import NotFound
from treadle.service import browse
from treadle.service.runtime import Runtime
from treadle.states import FINAL

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")


class _Listed(msgspec.Struct, rename="camel"):
    """One member of the stored ``artifacts``."""

    name: str
    path: str
    size_bytes: int
    sha256: str
    media_type: str


_LISTED = msgspec.json.Decoder(list[_Listed])


class ResultRoute:
    """The endpoint."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def get(self, request: Request, scope: str) -> Response:
        """The first artifact of a finished job; ``ETag`` is its SHA-256, one ``Range`` is honoured."""
        read_query(request, ())
        job = await browse.get(self._runtime, job_id_of(request))
        if job.status not in FINAL:
            raise HttpProblem(INVALID_STATE, f"the job is {job.status}; its result is there when it is completed")
        listed = _LISTED.decode(job.artifacts)
        if not listed:
            raise NotFound("the job has no file")
        return await self._file(request, listed[0])

    async def _file(self, request: Request, artifact: _Listed) -> Response:
        etag = f'"{artifact.sha256}"'
        is_csv = artifact.media_type == "text/csv"
        headers = {
            "ETag": etag,
            "Accept-Ranges": "bytes",
            "Content-Type": "text/csv; charset=utf-8" if is_csv else artifact.media_type,
            "Content-Disposition": f'attachment; filename="{artifact.path}"',
        }
        if etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
            return Response(None, 304, {"ETag": etag})
        try:
            handle = await asyncio.to_thread(self._runtime.artifacts.open, artifact.path)
        except FileNotFoundError:
            raise HttpProblem(GONE, "the job's file is not there any more") from None
        size_bytes = os.fstat(handle).st_size
        first, last, status = 0, size_bytes - 1, 200
        wanted = _wanted_range(request, etag, size_bytes)
        if wanted is not None:
            if wanted[0] > wanted[1]:
                os.close(handle)
                unsatisfied = {"Content-Range": f"bytes */{size_bytes}"}
                raise HttpProblem(RANGE_NOT_SATISFIABLE, "the file is shorter than that", unsatisfied)
            first, last, status = wanted[0], wanted[1], 206
            headers["Content-Range"] = f"bytes {first}-{last}/{size_bytes}"
        headers["Content-Length"] = str(last - first + 1)
        if request.method == "HEAD":
            os.close(handle)
            return Response(None, status, headers)
        return StreamingResponse(_chunks(handle, first, last - first + 1), status, headers)


def _wanted_range(request: Request, etag: str, size_bytes: int) -> tuple[int, int] | None:
    """First and last byte; ``None`` for the whole file (also where the header is not one simple range)."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or request.headers.get("if-range", etag) != etag:
        return None
    first, last = match["first"], match["last"]
    if first:
        return int(first), min(int(last), size_bytes - 1) if last else size_bytes - 1
    if last:
        return (max(0, size_bytes - int(last)), size_bytes - 1) if int(last) else (1, 0)
    return None


async def _chunks(handle: int, first: int, count: int) -> AsyncIterator[bytes]:
    try:
        while count > 0:
            chunk = await asyncio.to_thread(os.pread, handle, min(CHUNK_BYTES, count), first)
            if not chunk:
                return
            first += len(chunk)
            count -= len(chunk)
            yield chunk
    finally:
        os.close(handle)
