"""Actions: what the buttons do. Each is a form, answered with a redirect to the page it stood on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.responses import RedirectResponse, Response

from treadle.admin.filters import where_to
from treadle.admin.html import PAGE_HEADERS
from treadle.admin.pulse import Pulse
from treadle.errors import InvalidInput, NotFound, Problem
from treadle.ids import JobId, parse_job_id
from treadle.job import StoredJob
from treadle.queue import is_queue_name
from treadle.service import operate, queues
from treadle.service.runtime import Runtime
from treadle.states import Status, Verb, operator_verbs
from treadle.web.body import read_body
from treadle.web.query import Query
from treadle.web.request import Request, job_id_of

logger = logging.getLogger("treadle.admin")

MAX_FORM_BYTES = 64 * 1024
MAX_FORM_FIELDS = 600
SEE_OTHER = 303


@dataclass(frozen=True, slots=True)
class Action:
    """A verb as a button. ``key`` is its letter on the keyboard: a capital where it takes something away."""

    verb: Verb
    slug: str
    label: str
    key: str


ACTIONS: Mapping[Verb, Action] = {
    Verb.REQUEUE: Action(Verb.REQUEUE, "retry", "Retry", "r"),
    Verb.BURY: Action(Verb.BURY, "dlq", "Move to DLQ", "D"),
    Verb.CANCEL: Action(Verb.CANCEL, "cancel", "Cancel", "C"),
}

DONE: Mapping[str, str] = {
    "retry": "Retried: the job is queued for a new life.",
    "dlq": "Moved to the dead-letter queue.",
    "cancel": "Cancelled.",
    "stop": "Asked to stop: the job ends as cancelled as soon as its handler lets go.",
    "pause": "Paused: nothing is taken from this queue until it is resumed; running jobs go on.",
    "resume": "Resumed.",
    "replay": "Replayed: back in their queues for a new life.",
    "nothing": "Nothing was chosen, so nothing was done.",
}
"""What is said after an action, by the word its redirect carries."""


def actions_of(job: StoredJob) -> tuple[Action, ...]:
    """The buttons a job has: what the status table allows an operator, and asking a running one to stop."""
    if job.status is Status.PROCESSING:
        return () if job.cancel_requested else (ACTIONS[Verb.CANCEL],)
    allowed = operator_verbs(job.status)
    return tuple(action for verb, action in ACTIONS.items() if verb in allowed)


class Actions:
    """The POST endpoints of ``/admin/ui``."""

    def __init__(self, runtime: Runtime, pulse: Pulse) -> None:
        self._runtime = runtime
        self._pulse = pulse

    async def retry(self, request: Request) -> Response:
        """``POST /admin/ui/jobs/{id}/retry``."""
        return await self._operate(request, operate.requeue, "retry")

    async def bury(self, request: Request) -> Response:
        """``POST /admin/ui/jobs/{id}/dlq``."""
        return await self._operate(request, operate.bury, "dlq")

    async def cancel(self, request: Request) -> Response:
        """``POST /admin/ui/jobs/{id}/cancel``."""
        return await self._operate(request, operate.cancel, "cancel")

    async def replay(self, request: Request) -> Response:
        """``POST /admin/ui/dead/replay``: the chosen dead letters."""
        pairs = await _read_form(request)
        chosen = [parse_job_id(value) for name, value in pairs if name == "chosen"]
        ids = list(dict.fromkeys(job_id for job_id in chosen if job_id is not None))
        if not ids:
            return _redirect(where_to({**dict(pairs), "page": "dead"}, None, {"did": "nothing"}))
        count = await operate.requeue_all(self._runtime, ids)
        self._pulse.expire()
        logger.info("an operator's replay on the admin page", extra={"count": count, "request": request.id})
        return _redirect(where_to({**dict(pairs), "page": "dead"}, None, {"did": "replay", "count": str(count)}))

    async def pause(self, request: Request) -> Response:
        """``POST /admin/ui/queues/{name}/pause``."""
        return await self._switch(request, queues.pause, "pause")

    async def resume(self, request: Request) -> Response:
        """``POST /admin/ui/queues/{name}/resume``."""
        return await self._switch(request, queues.resume, "resume")

    async def _operate(
        self, request: Request, verb: Callable[[Runtime, JobId], Awaitable[Status]], slug: str
    ) -> Response:
        job_id = job_id_of(request)
        form = dict(await _read_form(request))
        status = await verb(self._runtime, job_id)
        self._pulse.expire()
        did = "stop" if status is Status.PROCESSING else slug
        extra = {"job": job_id, "status": status, "request": request.id}
        logger.info("an operator's %s on the admin page", did, extra=extra)
        return _redirect(where_to(form, job_id, {"did": did, "job": job_id}))

    async def _switch(self, request: Request, verb: Callable[[Runtime, str], Awaitable[None]], did: str) -> Response:
        name = request.path("name")
        if not is_queue_name(name):
            raise NotFound("no queue has this name")
        await _read_form(request)
        await verb(self._runtime, name)
        self._pulse.expire()
        logger.info("an operator's %s on the admin page", did, extra={"queue": name, "request": request.id})
        return _redirect(where_to({"page": "queues"}, None, {"did": did}))


async def _read_form(request: Request) -> list[tuple[str, str]]:
    """The fields of a form, in order. Raises ``InvalidInput``, ``Refused`` (408, 413)."""
    Query(request).check()
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError:  # not UTF-8 is one too
        raise InvalidInput([Problem("", "form", f"expected a form of at most {MAX_FORM_FIELDS} fields")]) from None


def _redirect(address: str) -> Response:
    return RedirectResponse(address, SEE_OTHER, PAGE_HEADERS)
