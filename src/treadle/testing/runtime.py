"""A runtime for tests: real SQLite in a temporary folder, hints inside the process, fast intervals."""

from __future__ import annotations

import tempfile
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
    registry: Registry,
    settings: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    has_worker: bool = True,
) -> AsyncIterator[Runtime]:
    """A runtime that keeps its database and its files in ``folder``, or in one of its own that goes with it.

    ``settings``: over ``FAST``, by their environment names; the process's environment is not read. The runtime's
    members may be replaced (``runtime.clock = ManualClock()``); what was opened is closed on leaving all the same.
    """
    with tempfile.TemporaryDirectory(prefix="treadle-") as own:
        home = folder if folder is not None else Path(own)
        kept = {"TREADLE_DATA_DIR": str(home / "data"), "TREADLE_OUTPUT_DIR": str(home / "output")}
        parsed = parse_settings({**FAST, **kept, **(settings or {})})
        async with open_runtime(parsed, registry, has_worker=has_worker) as runtime:
            yield runtime
