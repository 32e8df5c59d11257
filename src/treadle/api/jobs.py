"""``/jobs``: submit, read, wait, cancel."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from treadle.api.body import ignore_body, read_json_body
from treadle.api.query import number, read_query
from treadle.errors import InvalidInput, NotFound, Problem
from treadle.ids import JobId, parse_job_id
from treadle.jsontext import canonical
from treadle.service import browse, operate
from treadle.service.browse import Watcher
from treadle.service.runtime import Runtime
from treadle.service.submit import LARGE_BYTES, ClientKey, Submitter
from treadle.states import FINAL, Status
from treadle.wire import job_members, read_batch, read_submission

MAX_WAIT_SECONDS = 60
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
Answer = TypeVar("Answer")


class JobRoutes:
    """The endpoints under ``/jobs``."""

    def __init__(self, runtime: Runtime, submitter: Submitter, watcher: Watcher) -> None:
        self._runtime = runtime
        self._submitter = submitter
        self._watcher = watcher

    async def submit(self, request: Request, scope: str) -> Response:
        """``POST /jobs``."""
        read_query(request, ())
        body = await read_json_body(request, self._runtime.settings.max_body_bytes)
        read = await _beside_loop(read_submission, body)
        submitted = await self._submitter.submit([read], await _client_key(request, scope, body))
        job_id = submitted.ids[0]
        return _created(b'{"jobId":"%s"}' % job_id.encode(), submitted.replayed, {"Location": f"/jobs/{job_id}"})

    async def submit_batch(self, request: Request, scope: str) -> Response:
        """``POST /jobs/batch``."""
        read_query(request, ())
        body = await read_json_body(request, self._runtime.settings.max_body_bytes)
        read = await _beside_loop(read_batch, body)
        key = await _client_key(request, scope, body)
        submitted = await self._submitter.submit(read, key, pointer="/jobs")
        return _created(msgspec.json.encode({"jobIds": submitted.ids}), submitted.replayed, {})

    async def get(self, request: Request, scope: str) -> Response:
        """``GET /jobs/{id}``."""
        query = read_query(request, ("include", "wait"))
        if query.get("include", "payload") != "payload":
            raise InvalidInput([Problem("/include", "one_of", "expected payload")])
        wait_seconds = number("wait", query["wait"], 0, MAX_WAIT_SECONDS) if "wait" in query else 0.0
        job_id = job_id_of(request)
        job = await browse.get(self._runtime, job_id, payload="include" in query)
        if wait_seconds > 0 and job.status not in FINAL:
            await self._watcher.wait_final(job_id, wait_seconds)
            job = await browse.get(self._runtime, job_id, payload="include" in query)
        return json_response(job_members(job))

    async def cancel(self, request: Request, scope: str) -> Response:
        """``POST /jobs/{id}/cancel``."""
        read_query(request, ())
        await ignore_body(request)
        job_id = job_id_of(request)
        status = await operate.cancel(self._runtime, job_id)
        code = 200 if status is Status.CANCELLED else 202
        return json_response({"jobId": job_id, "status": status, "cancelRequested": code == 202}, code)


def job_id_of(request: Request) -> JobId:
    """The id in the path. Raises ``NotFound`` for what is no id: there is no such job either."""
    job_id = parse_job_id(request.path_params["job_id"])
    if job_id is None:
        raise NotFound("no job has this id")
    return job_id


def json_response(members: object, status: int = 200) -> Response:
    """Any JSON answer."""
    return Response(msgspec.json.encode(members), status, media_type="application/json")


def _created(body: bytes, replayed: bool, headers: dict[str, str]) -> Response:
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(body, 200 if replayed else 201, headers, "application/json")


async def _beside_loop(read: Callable[[bytes], Answer], body: bytes) -> Answer:
    """Large bodies are read in a thread, so that other requests go on."""
    if len(body) > LARGE_BYTES:
        return await asyncio.to_thread(read, body)
    return read(body)


async def _client_key(request: Request, scope: str, body: bytes) -> ClientKey | None:
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    # The draft's structured-field string is quoted; clients send it bare as well.
    text = given[0].strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(given) > 1 or not _KEY.fullmatch(text):
        raise InvalidInput([Problem("", "idempotency_key", "Idempotency-Key: 1 to 255 printable ASCII characters")])
    return ClientKey(scope, text, await _beside_loop(canonical, body))
