"""A runtime for tests: real SQLite in a folder of the test's, fast intervals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from treadle.assemble import open_runtime
from treadle.jobtype import Registry
from treadle.service.runtime import Runtime
from treadle.settings import parse_settings

FAST: Mapping[str, str] = {
    "TREADLE_LEASE_SECONDS": "2",
    "TREADLE_HEARTBEAT_SECONDS": "0.5",
    "TREADLE_SWEEP_SECONDS": "0.5",
    "TREADLE_RECONCILE_SECONDS": "1",
    "TREADLE_POLL_SECONDS": "0.2",
    "TREADLE_RETRY_BASE_SECONDS": "0.1",
    "TREADLE_GRACE_SECONDS": "3",
}
"""Settings that make a test of minutes one of seconds."""


@asynccontextmanager
async def open_test_runtime(
    folder: Path, registry: Registry, settings: Mapping[str, str] | None = None, *, has_worker: bool = True
) -> AsyncIterator[Runtime]:
    """A runtime that keeps its database and its files in ``folder``."""
    environment = {"TREADLE_DATA_DIR": str(folder / "data"), "TREADLE_OUTPUT_DIR": str(folder / "output"), **FAST}
    parsed = parse_settings({**environment, **(settings or {})})
    async with open_runtime(parsed, registry, has_worker=has_worker) as runtime:
        yield runtime
