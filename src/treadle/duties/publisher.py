"""Publisher: repeats now and then which job types this process knows, so that they are not forgotten while it runs."""

from __future__ import annotations

from treadle.service.catalogue import publish
from treadle.service.runtime import Runtime

PUBLISH_SECONDS = 3600.0
"""Types are forgotten days after they were last published (``store/protocol``)."""


class Publisher:
    """The duty. A process has published at its start; this one begins an hour later."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._has_waited = False

    async def publish_once(self) -> float:
        """Seconds until the next time."""
        if self._has_waited:
            await publish(self._runtime)
        self._has_waited = True
        return PUBLISH_SECONDS
