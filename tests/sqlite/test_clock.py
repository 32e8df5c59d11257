"""The anchor: all processes of one boot count their time from one moment, which a new boot sets anew."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.sqlite.conftest import NewStore
from treadle.clock import Anchor, AnchoredClock, boot_id, rising_seconds, wall_now
from treadle.store.sqlite import store as store_module
from treadle.store.sqlite.store import SQLiteStore

SECOND = timedelta(seconds=1)


async def anchor_of(store: SQLiteStore) -> Anchor:
    """What a process that starts now would count from."""
    await store.open(migrate=True)
    return await store.anchor()


async def test_the_first_anchor_is_the_machines_present_moment(new_store: NewStore) -> None:
    anchor = await anchor_of(new_store())

    assert abs(anchor.wall - wall_now()) < 60 * SECOND
    assert abs(anchor.rising - rising_seconds()) < 60


async def test_asking_again_is_answered_alike(new_store: NewStore) -> None:
    store = new_store()

    assert await anchor_of(store) == await store.anchor()


async def test_another_process_counts_from_the_same_moment(path: Path, store: SQLiteStore) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from treadle.store.sqlite.store import SQLiteStore\n"
        "async def main():\n"
        "    store = SQLiteStore(pathlib.Path(sys.argv[1]))\n"
        "    await store.open(migrate=True)\n"
        "    print(repr(await store.anchor()))\n"
        "    await store.aclose()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(path), stdout=asyncio.subprocess.PIPE
    )

    told, _ = await process.communicate()

    assert told.decode().strip() == repr(await store.anchor())


async def test_a_wall_clock_that_jumped_moves_nobodys_time(
    store: SQLiteStore, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await store.anchor()
    monkeypatch.setattr(store_module, "wall_now", lambda: wall_now() + timedelta(hours=1))

    assert await anchor_of(new_store()) == first
    clock = AnchoredClock()
    clock.set_anchor(first)
    assert abs(clock.now() - wall_now()) < 60 * SECOND


async def test_a_new_boot_sets_the_anchor_anew_for_everybody(
    store: SQLiteStore, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await store.anchor()
    monkeypatch.setattr(store_module, "boot_id", lambda: "the next boot")
    monkeypatch.setattr(store_module, "rising_seconds", lambda: 3.5)
    monkeypatch.setattr(store_module, "wall_now", lambda: before.wall + 100 * SECOND)

    after = await store.anchor()

    assert after == Anchor(before.wall + 100 * SECOND, 3.5)
    monkeypatch.setattr(store_module, "wall_now", lambda: before.wall + 200 * SECOND)
    assert await anchor_of(new_store()) == after


def test_a_boot_has_a_stable_name() -> None:
    assert boot_id() == boot_id()
