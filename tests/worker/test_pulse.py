"""The sign of life that other programs of this machine read: only a worker that lives and beats has one."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import eventually
from treadle.worker.pulse import kept_pulse, living_here

QUICK = 0.01
WORKER = """
import asyncio, sys
from pathlib import Path
from treadle.worker.pulse import kept_pulse
async def main():
    async with kept_pulse(Path(sys.argv[1]), lambda: 1e9, 0.01):
        await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_a_living_worker_has_a_sign_that_follows_its_lease(tmp_path: Path) -> None:
    until = [1000.0]
    async with kept_pulse(tmp_path / "data", lambda: until[0], QUICK):
        await eventually(lambda: living_here(tmp_path / "data"))
        [sign] = living_here(tmp_path / "data")
        assert (sign.host, sign.pid, sign.valid_until) == (platform.node(), os.getpid(), 1000.0)
        until[0] = 123456789.125
        await eventually(lambda: living_here(tmp_path / "data")[0].valid_until == 123456789.125)

    assert living_here(tmp_path / "data") == []
    assert list((tmp_path / "data").iterdir()) == []


async def test_each_worker_of_a_folder_has_its_own(tmp_path: Path) -> None:
    async with kept_pulse(tmp_path, lambda: 1.0, QUICK):
        async with kept_pulse(tmp_path, lambda: 2.0, QUICK):
            await eventually(lambda: {sign.valid_until for sign in living_here(tmp_path)} == {1.0, 2.0})
        assert [sign.valid_until for sign in living_here(tmp_path)] == [1.0]


async def test_what_a_killed_worker_left_is_nobodys_and_goes_with_the_next(tmp_path: Path) -> None:
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, str(tmp_path))
    await eventually(lambda: living_here(tmp_path), within_seconds=30)
    assert [sign.pid for sign in living_here(tmp_path)] == [killed.pid]
    killed.kill()
    await killed.wait()

    assert living_here(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 1
    async with kept_pulse(tmp_path, lambda: 1.0, QUICK):
        await eventually(lambda: living_here(tmp_path))
        assert len(list(tmp_path.iterdir())) == 1


async def test_signs_of_other_hosts_and_files_that_are_none_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"a": "", "b": "host\n1\nx\n", "c": "\xff"}.items():
        (tmp_path / f"worker.{name}.pulse").write_text(text, "latin-1")
    (tmp_path / "worker.d.pulse").mkdir()
    (tmp_path / "worker.e.pulse").symlink_to("/dev/zero")
    assert living_here(tmp_path) == []
    assert living_here(tmp_path / "nowhere") == []

    async with kept_pulse(tmp_path, lambda: 1.0, QUICK):
        await eventually(lambda: living_here(tmp_path))
        monkeypatch.setattr(platform, "node", lambda: "another")
        assert living_here(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_said_once_and_mended_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").write_text("a file")
    with caplog.at_level(logging.WARNING, "treadle.worker"):
        async with kept_pulse(tmp_path / "data", lambda: 1.0, QUICK):
            await eventually(lambda: caplog.messages)
            (tmp_path / "data").unlink()
            await eventually(lambda: living_here(tmp_path / "data"))
    [message] = caplog.messages
    assert "treadle health worker will fail" in message


async def test_a_lock_that_is_refused_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = fcntl.flock

    def refused(*arguments: Any) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    async with kept_pulse(tmp_path, lambda: 1.0, QUICK):
        await eventually(lambda: living_here(tmp_path))
        assert "No locks available" in caplog.text
        assert len(list(tmp_path.iterdir())) == 1
