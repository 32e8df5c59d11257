"""Statistics of a young table: taken again each time it has outgrown them.

Autovacuum takes them once a minute, and the flood that fills a new table may be over by then. Without them the planner
takes the jobs for a handful: on a table of 12 the flood ran at 28,000 jobs/s, and at 38,000 the moment they were taken.
"""

from __future__ import annotations

import asyncio
import logging

from treadle.errors import Unavailable
from treadle.store.postgres.connection import Connections
from treadle.store.postgres.statement import SQL

logger = logging.getLogger("treadle.store")

FIRST_LOOK_ROWS = 500


class Statistics:
    """Counts what one process inserts, and looks after the table's statistics beside its submissions."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._inserted = 0
        self._look_at = FIRST_LOOK_ROWS
        self._looking: asyncio.Task[None] | None = None

    def inserted(self, count: int) -> None:
        """So many jobs more. A look is made each time their number has doubled."""
        self._inserted += count
        if self._inserted >= self._look_at and self._looking is None:
            self._look_at = 2 * self._inserted
            self._looking = asyncio.create_task(self._look())

    async def aclose(self) -> None:
        """Return when no look is under way."""
        if self._looking is not None:
            await self._looking

    async def _look(self) -> None:
        try:
            [row] = await self._connections.read(SQL["outgrown"], {})
            if row["outgrown"]:
                await self._connections.read(SQL["analyze"], {})
        except Unavailable as error:
            logger.debug("no statistics were taken: %s", error)
        finally:
            self._looking = None
