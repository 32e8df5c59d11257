"""Handlers in child processes: what they do there stays there, and one answer comes out."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.builders import a_worker
from tests.waiting import eventually
from tests.worker.house import House, errors_of, open_house
from tests.worker.isolated_app import app
from treadle.child import COMMAND, first_words
from treadle.duties.duties import Duties
from treadle.errors import RegistrationError
from treadle.isolation import Isolation
from treadle.jobtype import Registry
from treadle.service.reap import take_back
from treadle.settings import Settings
from treadle.states import Status, Verb
from treadle.store.protocol import ClaimRequest
from treadle.worker.children import Children
from treadle.worker.worker import Worker

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],  # noqa: TID251  (a clean one)
    "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
}


def children_of(settings: Settings) -> Children:
    told = msgspec.structs.replace(settings, app="tests.worker.isolated_app:app")
    return Children(COMMAND, ENVIRONMENT, first_words(told))


@asynccontextmanager
async def isolating_house(**settings: str) -> AsyncIterator[House]:
    async with open_house(app, settings, is_started=False) as house:
        house.worker = Worker(house.runtime, "test", children_of(house.runtime.settings))
        await house.start()
        duties = Duties(house.runtime)
        duties.start()  # for the promoter: a retry is due at once here, and somebody must say so
        try:
            yield house
        finally:
            await duties.stop()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with isolating_house() as opened:
        yield opened


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def result_of(house: House, type_name: str, payload: Any = None) -> Any:
    job = await house.until(await house.submit(type_name, payload), within_seconds=30)
    assert job.status is Status.COMPLETED, job.error
    assert job.result is not None
    return msgspec.json.decode(job.result)


# -------------------------------------------------------------------------------------------- the ordinary way


async def test_a_handler_runs_in_another_process_with_its_hooks_and_in_a_group_of_its_own(house: House) -> None:
    found = await result_of(house, "PID")

    assert found["pid"] != os.getpid()
    assert found == {"pid": found["pid"], "hooks": 1, "group": found["pid"]}


async def test_a_child_is_kept_warm_for_the_next_job(house: House) -> None:
    first = await result_of(house, "PID")

    assert await result_of(house, "PID_BLOCKING") == {"pid": first["pid"]}
    assert (await result_of(house, "PID"))["hooks"] == 1


async def test_progress_checkpoints_artifacts_and_the_lease_reach_through(house: House) -> None:
    job_id = await house.submit("TALK")
    job = await house.until(job_id, within_seconds=30)

    assert job.status is Status.COMPLETED, job.error
    assert msgspec.json.decode(job.result or b"") == {"found": {"attempt": 1}, "valid": True, "key": job_id}
    assert msgspec.json.decode(job.progress or b"")["message"] == "whole"
    [artifact] = msgspec.json.decode(job.artifacts)
    assert (house.runtime.artifacts.root / artifact["path"]).read_bytes() == b"hello"
    [error] = errors_of(job)
    assert (error["kind"], error["message"]) == ("ValueError", "once")
    assert "talk" in error["traceback"]


@pytest.mark.parametrize(
    ("what", "status", "kind"),
    [
        ("raise", Status.FAILED, "ValueError"),
        ("never again", Status.FAILED, "NonRetryable"),
        ("park", Status.DEAD, "parked"),
        ("snooze", Status.SCHEDULED, None),
        ("object", Status.FAILED, "result_not_storable"),
        ("sys_exit", Status.FAILED, "SystemExit"),
    ],
)
async def test_every_other_end_is_told_as_it_was(house: House, what: str, status: Status, kind: str | None) -> None:
    job_id = await house.submit("DO", {"what": what}, max_attempts=1)
    job = await house.until(job_id, status, within_seconds=30)

    assert [error["kind"] for error in errors_of(job)] == ([] if kind is None else [kind])
    assert job.crashes == 0


async def test_what_it_logs_is_in_the_workers_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await result_of(house, "DO", {"what": "log"})

    [record] = [r for r in caplog.records if "a word" in r.getMessage()]
    assert record.levelname == "WARNING"
    assert record.__dict__["type"] == "DO"


# -------------------------------------------------------------------------------------------------- its death


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"what": "segfault"}, "SIGSEGV"),
        ({"what": "kill"}, "SIGKILL"),
        ({"what": "exit", "code": 0}, "exit code 0 and without an answer"),
        ({"what": "exit", "code": 3}, "exit code 3"),
    ],
)
async def test_three_deaths_bury_it_as_poison_and_never_complete_it(
    house: House, payload: dict[str, Any], words: str
) -> None:
    job = await house.until(await house.submit("DO", payload), within_seconds=30)

    assert job.status is Status.DEAD
    assert (job.attempt, job.crashes, job.failures) == (3, 3, 0)
    assert [error["kind"] for error in errors_of(job)] == ["crash", "crash", "poison"]
    assert all(words in error["message"] for error in errors_of(job))
    assert len(await house.leases()) == 1


async def test_a_killer_takes_no_neighbour_with_it() -> None:
    async with isolating_house(TREADLE_CONCURRENCY="8") as house:
        files = [str(house.runtime.artifacts.root / f"n{n}") for n in range(5)]
        neighbours = [await house.submit("SLEEP", {"file": file}) for file in files]
        for file in files:
            await eventually(Path(file).exists, within_seconds=30)
        killer = await house.until(await house.submit("DO", {"what": "segfault"}), within_seconds=30)
        for job_id in neighbours:
            await house.runtime.store.operate(Verb.CANCEL, [job_id], house.runtime.clock.now())
        jobs = [await house.until(job_id, within_seconds=30) for job_id in neighbours]

    assert killer.status is Status.DEAD
    assert [(job.status, job.attempt, job.crashes) for job in jobs] == [(Status.COMPLETED, 1, 0)] * 5


async def test_a_job_with_a_crash_behind_it_runs_isolated_whatever_its_type_says(house: House) -> None:
    assert await result_of(house, "ROUGH") == {"pid": os.getpid()}

    await house.stop()
    job_id = await house.submit("ROUGH")
    await _crash(house, job_id)
    house.worker = Worker(house.runtime, "test", children_of(house.runtime.settings))
    await house.start()
    job = await house.until(job_id, within_seconds=30)

    assert msgspec.json.decode(job.result or b"")["pid"] != os.getpid()
    assert (job.attempt, job.crashes) == (2, 1)


# ------------------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize("type_name", ["HANG", "DEAF"])
async def test_at_its_timeout_it_is_killed_and_that_is_a_failure(house: House, tmp_path: Path, type_name: str) -> None:
    told = tmp_path / "pid"
    job_id = await house.submit(type_name, {"file": str(told)}, max_attempts=1)
    job = await house.until(job_id, within_seconds=30)

    assert (job.status, job.failures, job.crashes) == (Status.FAILED, 1, 0)
    assert errors_of(job)[0]["kind"] == "timeout"
    await eventually(lambda: not is_alive(int(told.read_text())))


async def test_computing_too_long_is_the_failure_cpu_limit(house: House) -> None:
    job = await house.until(await house.submit("SPIN"), within_seconds=30)

    assert (job.status, job.crashes) == (Status.FAILED, 0)
    assert errors_of(job)[0]["kind"] == "cpu_limit"


async def test_memory_beyond_the_limit_is_an_ordinary_failure_and_within_it_none(house: House) -> None:
    job = await house.until(await house.submit("SMALL", {"megabytes": 300}), within_seconds=30)

    assert (job.status, job.crashes) == (Status.FAILED, 0)
    assert errors_of(job)[0]["kind"] == "MemoryError"
    assert await result_of(house, "SMALL", {"megabytes": 30}) == 30 * 1024 * 1024


async def test_a_hundred_megabytes_of_output_hold_nobody_up(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert await result_of(house, "DO", {"what": "print", "megabytes": 100}) == "said"

    printed = [r.getMessage() for r in caplog.records if r.getMessage().startswith("printed")]
    assert 0 < sum(map(len, printed)) < 200_000


# --------------------------------------------------------------------------------------------- what it leaves


@pytest.mark.parametrize("what", ["process", "group", "files", "threads"])
async def test_a_process_that_was_left_untidy_is_not_used_again(house: House, what: str) -> None:
    left = await result_of(house, "LEAK", {"what": what})

    assert (await result_of(house, "PID"))["pid"] != left["pid"]
    await eventually(lambda: not is_alive(left["pid"]))
    if what == "group":
        await eventually(lambda: not is_alive(left["left"]))


async def test_a_cancel_and_the_end_of_the_worker_reach_it(house: House, tmp_path: Path) -> None:
    job_id = await house.submit("SLEEP", {"file": str(tmp_path / "a")})
    await eventually((tmp_path / "a").exists)
    await house.runtime.store.operate(Verb.CANCEL, [job_id], house.runtime.clock.now())
    assert (await house.until(job_id, within_seconds=10)).status is Status.COMPLETED  # its answer came after all

    held = await house.submit("HANG", {"file": str(tmp_path / "b")}, timeout_seconds=600)
    await eventually(lambda: (tmp_path / "b").exists() and (tmp_path / "b").read_text() != "")
    await house.stop(0)
    assert await house.status(held) is Status.QUEUED
    assert not is_alive(int((tmp_path / "b").read_text()))


async def test_user_code_that_cannot_be_loaded_in_a_child_fails_the_job_with_words() -> None:
    async with open_house(app, is_started=False) as house:
        broken = msgspec.structs.replace(house.runtime.settings, app="tests.worker.no_such_module:app")
        children = Children(COMMAND, ENVIRONMENT, first_words(broken))
        house.worker = Worker(house.runtime, "test", children)
        await house.start()
        job = await house.until(await house.submit("PID", max_attempts=1), within_seconds=30)

    assert (job.status, errors_of(job)[0]["kind"]) == (Status.FAILED, "child_not_started")


# ------------------------------------------------------------------------------------------------ registration


@pytest.mark.parametrize("wrong", [1, "yes", {"memory_mb": 5}])
def test_isolate_is_a_flag_or_limits(wrong: Any) -> None:
    with pytest.raises(RegistrationError, match="isolate= must be True, False or an Isolation"):
        Registry().job("X", isolate=wrong)


@pytest.mark.parametrize("limits", [{"memory_mb": 1}, {"memory_mb": True}, {"cpu_seconds": 0}, {"cpu_seconds": 1e9}])
def test_limits_that_could_never_be_meant_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Isolation"):
        Isolation(**limits)


async def _crash(house: House, job_id: Any) -> None:
    """As if a worker had claimed the job and died."""
    worker, store, now = a_worker(), house.runtime.store, house.runtime.clock.now()
    await store.register_worker(worker)
    [claimed] = await store.claim(ClaimRequest(worker_id=worker.id, limit=1, types=["ROUGH"], ids=[job_id]), now)
    assert claimed.id == job_id
    await store.end_worker(worker.id, None, now)
    await take_back(house.runtime)
