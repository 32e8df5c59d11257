"""What may be submitted."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from treadle.api.jobs import json_response
from treadle.api.request import Request
from treadle.service.catalogue import Catalogue, KnownType


class Types:
    """The endpoint ``GET /types``."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def list_types(self, request: Request) -> Response:
        """Every job type that is accepted here, by name, with its policy and the JSON Schema of its payload."""
        await self._catalogue.look_up_all()
        known = sorted(self._catalogue, key=lambda known: known.name)
        return json_response({"types": [_members(one) for one in known]})


def _members(known: KnownType) -> dict[str, object]:
    return {
        "name": known.name,
        "queue": known.queue,
        "maxAttempts": known.max_attempts,
        "timeoutSeconds": known.timeout_seconds,
        "source": "code" if known.is_own else "published",
        "schema": msgspec.Raw(known.schema),
    }
