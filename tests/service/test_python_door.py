"""``app.submit`` from a process of the user's own: one store, whatever is submitted at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import treadle.app
import treadle.assemble
from treadle import Treadle
from treadle.jobtype import Registry
from treadle.service.runtime import Runtime
from treadle.settings import Settings


async def test_first_submissions_at_once_open_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Treadle()

    @app.job("ECHO")
    async def echo(payload: dict[str, Any]) -> None:
        return None

    opened: list[Settings] = []
    open_runtime = treadle.assemble.open_runtime

    @asynccontextmanager
    async def counting(settings: Settings, registry: Registry, *, has_worker: bool) -> AsyncIterator[Runtime]:
        opened.append(settings)
        async with open_runtime(settings, registry, has_worker=has_worker) as runtime:
            yield runtime

    folders = {"TREADLE_DATA_DIR": str(tmp_path / "data"), "TREADLE_OUTPUT_DIR": str(tmp_path / "output")}
    monkeypatch.setattr(treadle.app, "open_runtime", counting)
    monkeypatch.setattr(treadle.app, "read_environment", lambda: folders)
    async with app:
        ids = await asyncio.gather(*(app.submit("ECHO", {"n": n}) for n in range(20)))
    async with app:
        await app.submit("ECHO", {})

    assert len(set(ids)) == 20
    assert len(opened) == 2, "opened once for each time it was closed"

    app = Treadle()
    app.job("ECHO")(echo)
    opened.clear()
    await asyncio.gather(*(app.submit("ECHO", {"n": n}) for n in range(20)))
    await app.aclose()
    assert len(opened) == 1
