"""Publisher: says again what types this process has, so that they are not taken for removed."""

from __future__ import annotations

from treadle.service.publish import publish
from treadle.service.runtime import Runtime
from treadle.store.protocol import TYPE_REFRESH


class Publisher:
    """The duty."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def publish_once(self) -> float:
        """Publish; seconds until the next time."""
        await publish(self._runtime)
        return TYPE_REFRESH.total_seconds()
