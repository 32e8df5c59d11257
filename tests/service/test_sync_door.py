"""``app.submit_sync``: from threads, from scripts that just end, after a fork, and never inside a loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import treadle.app
from tests.waiting import eventually_blocking
from treadle import Conflict, InvalidInput, Treadle


def an_app() -> Treadle:
    app = Treadle()

    @app.job("ECHO")
    async def echo(payload: dict[str, Any]) -> None:
        return None

    return app


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Treadle]:
    folders = {"TREADLE_DATA_DIR": str(tmp_path / "data"), "TREADLE_OUTPUT_DIR": str(tmp_path / "output")}
    monkeypatch.setattr(treadle.app, "read_environment", lambda: folders)
    app = an_app()
    yield app
    app.close()


def test_any_number_of_threads_may_submit_at_once(app: Treadle) -> None:
    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(lambda n: app.submit_sync("ECHO", {"n": n}), range(200)))
    assert len(set(ids)) == 200


def test_loops_and_threads_that_come_at_once_share_one_store(app: Treadle) -> None:
    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(app.submit_sync, "ECHO", {"n": n}) for n in range(20)]
        waiting += [pool.submit(asyncio.run, _submit_once(app)) for _ in range(8)]
        assert len({each.result() for each in waiting}) == 28


async def _submit_once(app: Treadle) -> str:
    return await app.submit("ECHO", {})


def test_a_closed_door_opens_again(app: Treadle) -> None:
    first = app.submit_sync("ECHO", {}, idempotency_key="k")
    app.close()
    app.close()
    assert app.submit_sync("ECHO", {}, idempotency_key="k") == first


def test_it_refuses_what_submit_refuses(app: Treadle) -> None:
    with pytest.raises(InvalidInput) as refused:
        app.submit_sync("NONE", {}, queue="nowhere")
    assert [problem.pointer for problem in refused.value.problems] == ["/type", "/queue"]
    app.submit_sync("ECHO", {}, idempotency_key="k")
    with pytest.raises(Conflict):
        app.submit_sync("ECHO", {"n": 1}, idempotency_key="k")


async def test_inside_a_loop_it_says_what_to_do_instead(app: Treadle) -> None:
    with pytest.raises(RuntimeError, match="await"):
        app.submit_sync("ECHO", {})


def test_a_forked_child_opens_a_store_of_its_own(app: Treadle) -> None:
    app.submit_sync("ECHO", {})
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(_submit_once(app))
            app.submit_sync("ECHO", {})
            app.close()
            code = 0
        finally:
            os._exit(code)
    statuses: list[int] = []

    def has_ended() -> bool:
        pid, status = os.waitpid(child, os.WNOHANG)
        statuses.append(status)
        return pid == child

    try:
        eventually_blocking(has_ended)
    except AssertionError:
        os.kill(child, signal.SIGKILL)
        raise
    assert statuses[-1] == 0
    app.submit_sync("ECHO", {})


SCRIPT = """
import sys
from treadle import Treadle

app = Treadle()

@app.job("ECHO")
async def echo(payload: dict) -> None: ...

print(app.submit_sync("ECHO", {}))
"""


def test_a_script_that_just_ends_closes_the_store(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr, len(done.stdout.strip())) == (0, "", 36)
    # SQLite removes its log when the last connection is closed, and only then.
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["treadle.db"]
