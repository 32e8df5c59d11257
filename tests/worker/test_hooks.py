"""Start and stop hooks of user code, and jobs that submit jobs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import treadle
from tests.waiting import eventually
from tests.worker.house import House, open_house
from treadle import Treadle
from treadle.errors import InvalidInput
from treadle.jobtype import Registry
from treadle.states import Status
from treadle.worker import worker as worker_module

Payload = dict[str, Any]


async def test_hooks_run_on_the_handlers_loop_before_the_first_job_and_after_the_last(registry: Registry) -> None:
    told: list[tuple[str, str, int]] = []

    def tell(what: str) -> None:
        told.append((what, threading.current_thread().name, id(asyncio.get_running_loop())))

    @registry.on_start
    async def first() -> None:
        tell("first start hook")

    @registry.on_start
    async def second() -> None:
        tell("second start hook")

    @registry.on_stop
    async def last() -> None:
        tell("stop hook")

    @registry.job("RUN")
    async def run(payload: Payload) -> None:
        tell("job")

    async with open_house(registry, is_started=False) as house:
        job_id = await house.submit("RUN")
        await house.start()
        await house.until(job_id, Status.COMPLETED)
        await house.stop()

    assert [what for what, _, _ in told] == ["first start hook", "second start hook", "job", "stop hook"]
    assert len({(thread, loop) for _, thread, loop in told}) == 1
    assert told[0][1] == "treadle-handlers"


async def test_a_start_hook_that_fails_keeps_the_worker_from_starting(registry: Registry) -> None:
    @registry.on_start
    async def fail() -> None:
        raise RuntimeError("no connection to our own service")

    async with open_house(registry, is_started=False) as house:
        with pytest.raises(RuntimeError, match="our own service"):
            await house.start()

        assert await house.leases() == []
        assert house.store.calls["claim"] == 0


async def test_a_start_hook_that_hangs_keeps_nobody_waiting_for_ever(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HOOK_SECONDS", 0.05)

    @registry.on_start
    async def hang() -> None:
        await asyncio.Event().wait()

    async with open_house(registry, is_started=False) as house:
        with pytest.raises(TimeoutError):
            await house.start()


async def test_a_stop_hook_that_fails_or_hangs_leaves_the_next_one_its_turn(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HOOK_SECONDS", 0.05)
    ran: list[str] = []

    @registry.on_stop
    async def fail() -> None:
        raise RuntimeError

    @registry.on_stop
    async def hang() -> None:
        await asyncio.Event().wait()

    @registry.on_stop
    async def last() -> None:
        ran.append("last")

    async with open_house(registry) as house:
        await asyncio.wait_for(house.stop(), 10)

    assert ran == ["last"]


async def test_a_stop_hook_runs_after_the_lease_is_ended(registry: Registry) -> None:
    loop = asyncio.get_running_loop()
    leases: list[int] = []
    house: House

    @registry.on_stop
    async def look() -> None:
        counting = asyncio.run_coroutine_threadsafe(house.leases(), loop)
        found = await asyncio.wrap_future(counting)
        leases.append(len(found))

    async with open_house(registry) as house:
        await house.stop()

    assert leases == [0]


# ---------------------------------------------------------------------- jobs that submit jobs


@asynccontextmanager
async def bound_house(app: Treadle) -> AsyncIterator[House]:
    async with open_house(app) as house:
        app.bind(house.submitter)
        yield house


async def test_a_handler_submits_through_its_own_process() -> None:
    app = Treadle()
    ran: list[int] = []

    @app.job("PARENT")
    async def parent(payload: Payload) -> list[str]:
        return [await app.submit("CHILD", {"n": n}, priority="high") for n in range(3)]

    @app.job("CHILD")
    def child(payload: Payload) -> None:
        ran.append(payload["n"])

    async with bound_house(app) as house:
        done = await house.until(await house.submit("PARENT"), Status.COMPLETED)
        children = msgspec.json.decode(done.result or b"")
        for job_id in children:
            await house.until(job_id, Status.COMPLETED)

        assert sorted(ran) == [0, 1, 2]
        assert house.store.calls["open"] == 0  # no second store


async def test_a_handler_is_told_what_is_wrong_with_what_it_submits() -> None:
    app = Treadle()
    problems: list[str] = []

    @app.job("PARENT")
    async def parent(payload: Payload) -> None:
        try:
            await app.submit("NOBODY", {}, delay_seconds=-1)
        except InvalidInput as error:
            problems.extend(problem.pointer for problem in error.problems)

    async with bound_house(app) as house:
        await house.until(await house.submit("PARENT"), Status.COMPLETED)

    assert sorted(problems) == ["/delaySeconds", "/type"]


async def test_a_key_makes_a_retried_parent_submit_its_child_once() -> None:
    app = Treadle()

    @app.job("PARENT")
    async def parent(payload: Payload) -> list[str]:
        first = await app.submit("CHILD", {}, idempotency_key="only-once")
        return [first, await app.submit("CHILD", {}, idempotency_key="only-once")]

    @app.job("CHILD")
    def child(payload: Payload) -> None: ...

    async with bound_house(app) as house:
        done = await house.until(await house.submit("PARENT"), Status.COMPLETED)

    first, second = msgspec.json.decode(done.result or b"")
    assert first == second


SCRIPT = """
import asyncio

from treadle import Treadle

app = Treadle()


@app.job("RUN")
def run(payload: dict) -> None: ...


async def main() -> None:
    async with app:
        print(await app.submit("RUN", {"n": 7}))


asyncio.run(main())
"""


async def test_a_process_of_its_own_submits_into_the_store_that_its_environment_names(
    registry: Registry, tmp_path: Path
) -> None:
    ran: list[int] = []

    @registry.job("RUN")
    def run(payload: Payload) -> None:
        ran.append(payload["n"])

    (tmp_path / "script.py").write_text(SCRIPT)
    slow_scans = {"TREADLE_POLL_SECONDS": "600", "TREADLE_RECONCILE_SECONDS": "600"}
    async with open_house(registry, slow_scans, folder=tmp_path) as house:
        await eventually(lambda: house.store.claims)
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "script.py"],
            cwd=tmp_path,
            env={
                "TREADLE_DATA_DIR": str(tmp_path / "data"),
                "TREADLE_OUTPUT_DIR": str(tmp_path / "output"),
                "PYTHONPATH": str(Path(treadle.__file__).parents[1]),  # the code under test
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        job = await house.until(done.stdout.strip(), Status.COMPLETED)  # type: ignore[arg-type]

    assert ran == [7]
    assert (job.status, job.attempt) == ("completed", 1)
