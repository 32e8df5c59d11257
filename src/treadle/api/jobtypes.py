"""Job types over HTTP: what may be submitted, and what its payload looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from treadle.api.jobs import json_response
from treadle.service.catalogue import KnownType
from treadle.service.runtime import Runtime
from treadle.web.query import Query
from treadle.web.request import Request


class JobTypes:
    """The endpoint ``/types``."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def list_types(self, request: Request) -> Response:
        """``GET /types``: by name."""
        Query(request).check()
        return json_response({"types": [_type(known) for known in await self._runtime.catalogue.all()]})


def _type(known: KnownType) -> Mapping[str, Any]:
    return {
        "name": known.name,
        "queue": known.queue,
        "maxAttempts": known.max_attempts,
        "timeoutSeconds": known.timeout_seconds,
        "origin": "process" if known.is_own else "published",
        "schema": known.model.json_schema(),
    }
