"""Jobs over HTTP: submit one or many, read one, wait for one, cancel one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from starlette.responses import Response

from treadle.errors import InvalidInput, Problem
from treadle.fingerprint import fingerprint
from treadle.ids import JobId
from treadle.job import JobRequest
from treadle.service import browse, operate
from treadle.service.browse import Watcher
from treadle.service.runtime import Runtime
from treadle.service.submit import ClientKey, Submitted, Submitter
from treadle.states import FINAL, Status
from treadle.telemetry.tracing import read_traceparent
from treadle.web.body import beside_loop, ignore_body, read_json, until_disconnected
from treadle.web.file import file_response
from treadle.web.query import Query
from treadle.web.request import Request, job_id_of
from treadle.wire import job_members, read_batch, read_submission

Asked = TypeVar("Asked")

JSON = "application/json"
MAX_WAIT_SECONDS = 60.0
MAX_KEY_LENGTH = 255

_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
# draft-ietf-httpapi-idempotency-key-header sends a structured-field string (RFC 8941 section 3.3.3), most clients
# plain text: both mean what is between the quotes.
_QUOTED = re.compile(rb'"((?:[^"\\]|\\["\\])*)"')


class Jobs:
    """The endpoints of ``/jobs``."""

    def __init__(self, runtime: Runtime, submitter: Submitter, watcher: Watcher) -> None:
        self._runtime = runtime
        self._submitter = submitter
        self._watcher = watcher
        self._max_body_bytes = runtime.settings.max_body_bytes

    async def submit(self, request: Request) -> Response:
        """``POST /jobs``."""
        asked, key = await self._read(request, read_submission)
        submitted = await self._submitter.submit(_traced(request, [asked]), key)
        job_id = submitted.ids[0]
        return _submitted({"jobId": job_id}, submitted, {"Location": f"/jobs/{job_id}"})

    async def submit_batch(self, request: Request) -> Response:
        """``POST /jobs/batch``."""
        asked, key = await self._read(request, read_batch)
        submitted = await self._submitter.submit(_traced(request, asked), key, pointer="/jobs")
        return _submitted({"jobIds": submitted.ids}, submitted, {})

    async def get(self, request: Request) -> Response:
        """``GET /jobs/{id}``."""
        job_id = job_id_of(request)
        query = Query(request, ("include", "wait"))
        with_payload = query.one_of("include", ("payload",)) is not None
        wait_seconds = query.seconds("wait", MAX_WAIT_SECONDS)
        query.check()
        if wait_seconds > 0:
            await self._wait(request, job_id, wait_seconds)
        job = await browse.get(self._runtime, job_id, payload=with_payload)
        return json_response(job_members(job))

    async def file(self, request: Request) -> Response:
        """``GET /jobs/{id}/result``: its file."""
        job_id = job_id_of(request)
        Query(request).check()
        return await file_response(self._runtime, request, job_id)

    async def cancel(self, request: Request) -> Response:
        """``POST /jobs/{id}/cancel``: 202 where the job runs and was asked to stop."""
        job_id = await bodiless(request)
        return cancelled(job_id, await operate.cancel(self._runtime, job_id))

    async def _read(self, request: Request, read: Callable[[bytes], Asked]) -> tuple[Asked, ClientKey | None]:
        """What is asked for, and under which key; the body itself is gone when it is stored."""
        Query(request).check()
        body = await read_json(request, self._max_body_bytes)
        asked = await beside_loop(len(body), read, body)
        return asked, await _client_key(request, body)

    async def _wait(self, request: Request, job_id: JobId, seconds: float) -> None:
        if (await browse.get(self._runtime, job_id)).status in FINAL:
            return
        waiting = asyncio.ensure_future(self._watcher.wait_final(job_id, seconds))
        leaving = asyncio.ensure_future(until_disconnected(request.receive))
        try:
            await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            leaving.cancel()


def json_response(value: object, status_code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``value`` as JSON."""
    return Response(msgspec.json.encode(value), status_code, headers, JSON)


async def bodiless(request: Request) -> JobId:
    """The id of a job that is to be operated on; parameters are refused, and a small body is ignored."""
    job_id = job_id_of(request)
    Query(request).check()
    await ignore_body(request)
    return job_id


def cancelled(job_id: JobId, status: Status) -> Response:
    """Where a job stands after it was cancelled; 202 where it runs on, and was only asked to stop."""
    is_asked = status is not Status.CANCELLED
    return json_response({"jobId": job_id, "status": status, "cancelRequested": is_asked}, 202 if is_asked else 200)


def _submitted(members: dict[str, str | Sequence[str]], submitted: Submitted, headers: dict[str, str]) -> Response:
    if submitted.replayed:
        return json_response(members, 200, {**headers, "Idempotency-Replayed": "true"})
    return json_response(members, 201, headers)


def _traced(request: Request, asked: list[JobRequest]) -> list[JobRequest]:
    """As part of the caller's trace; a field that is invalid or came twice is no field (W3C Trace Context)."""
    field = request.only_field(b"traceparent")
    traceparent = None if field is None else read_traceparent(field.decode("latin-1"))
    if traceparent is None:
        return asked
    return [msgspec.structs.replace(job, traceparent=traceparent) for job in asked]


async def _client_key(request: Request, body: bytes) -> ClientKey | None:
    field = request.field(b"idempotency-key")
    if field is None:
        return None
    if quoted := _QUOTED.fullmatch(field):
        field = re.sub(rb'\\(["\\])', rb"\1", quoted[1])
    if not _KEY.fullmatch(field):
        words = f"Idempotency-Key: expected 1 to {MAX_KEY_LENGTH} printable ASCII characters"
        raise InvalidInput([Problem("", "idempotency_key", words)])
    return ClientKey(request.client, field.decode("ascii"), await beside_loop(len(body), fingerprint, body))
