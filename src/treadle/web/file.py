"""A job's file over HTTP: whole, in part, or not at all because the client has it already."""

from __future__ import annotations

import asyncio
import os
import re

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from treadle.artifacts.folder import ArtifactFolder
from treadle.errors import NotFound
from treadle.ids import JobId
from treadle.service import browse
from treadle.service.runtime import Runtime
from treadle.states import FINAL
from treadle.web.body import until_disconnected
from treadle.web.problems import GONE, INVALID_STATE, RANGE_NOT_SATISFIABLE, Refused
from treadle.web.request import Request

CHUNK_BYTES = 256 * 1024

# One range only, as RFC 9110 allows: anything else is answered with the whole file.
_RANGE = re.compile(rb"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.IGNORECASE)


class _Artifact(msgspec.Struct, rename="camel"):
    path: str
    size_bytes: int
    sha256: str
    media_type: str


_ARTIFACTS = msgspec.json.Decoder(list[_Artifact])


async def file_response(runtime: Runtime, request: Request, job_id: JobId) -> Response:
    """The first file that the job's settled attempt published.

    Raises ``NotFound`` (no job, or it has no file), ``Refused`` (409 not finished, 410 gone, 416).
    """
    job = await browse.get(runtime, job_id)
    if job.status not in FINAL:
        raise Refused(INVALID_STATE, f"a job that is {job.status} has no result yet")
    artifacts = _ARTIFACTS.decode(job.artifacts)
    if not artifacts:
        raise NotFound("this job has no file")
    artifact = artifacts[0]
    etag = f'"{artifact.sha256}"'
    if _is_known(request.field(b"if-none-match"), etag):
        return Response(status_code=304, headers={"ETag": etag})
    handle = await asyncio.to_thread(_open, runtime.artifacts, artifact)
    try:
        return _answer(request, artifact, etag, handle)
    except BaseException:
        os.close(handle)
        raise


def _open(folder: ArtifactFolder, artifact: _Artifact) -> int:
    try:
        handle = folder.open(artifact.path)
    except FileNotFoundError:
        raise Refused(GONE, "the job's file is no longer there") from None
    if os.fstat(handle).st_size != artifact.size_bytes:
        os.close(handle)
        raise Refused(GONE, "what stands in its place is not the file the job wrote")
    return handle


def _answer(request: Request, artifact: _Artifact, etag: str, handle: int) -> Response:
    size = artifact.size_bytes
    part = _range_of(request, etag, size)
    start, end = part or (0, size)
    headers = {
        "Content-Type": _content_type(artifact.media_type),
        "Content-Disposition": f'attachment; filename="{artifact.path}"',
        "Content-Length": str(end - start),
        "Accept-Ranges": "bytes",
        "ETag": etag,
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return _FileResponse(handle, start, end, 200 if part is None else 206, headers)


def _is_known(if_none_match: bytes | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return b"*" in tags or etag.encode() in tags


def _range_of(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """The bytes that were asked for, ``None`` for all of them. Raises ``Refused`` (416)."""
    wanted = request.field(b"range")
    if wanted is None or request.method != "GET" or size == 0:
        return None
    condition = request.field(b"if-range")
    match = _RANGE.fullmatch(wanted)
    if match is None or (condition is not None and condition != etag.encode()):
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refused(RANGE_NOT_SATISFIABLE, f"the file has {size} bytes", headers)
    return start, end


def _content_type(media_type: str) -> str:
    """With the encoding that text has here, where a handler did not name another."""
    needs_charset = media_type.startswith("text/") and ";" not in media_type
    return f"{media_type}; charset=utf-8" if needs_charset else media_type


class _FileResponse(Response):
    """Bytes ``start`` to ``end`` of an open file, which is closed in the end; disk reads happen in threads."""

    def __init__(self, handle: int, start: int, end: int, status_code: int, headers: dict[str, str]) -> None:
        super().__init__(None, status_code, headers)
        self._handle = handle
        self._start = start
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(until_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            position = self._end if scope["method"] == "HEAD" else self._start
            while position < self._end and not leaving.done():
                wanted = min(CHUNK_BYTES, self._end - position)
                chunk = await asyncio.to_thread(os.pread, self._handle, wanted, position)
                if not chunk:
                    raise OSError("the file became shorter while it was sent")
                position += len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": position < self._end})
            if self._start == self._end or scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            os.close(self._handle)
