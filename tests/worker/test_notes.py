"""What a running handler leaves behind: progress, checkpoints and files."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import msgspec
import pytest

from tests.waiting import eventually, loop_turns
from tests.worker.house import Door, House, errors_of, open_house
from treadle.context import Job
from treadle.errors import LeaseLost
from treadle.job import StoredJob
from treadle.jobtype import Registry
from treadle.service.promote import promote_due
from treadle.service.reap import take_back
from treadle.states import Status
from treadle.worker import runner

Payload = dict[str, Any]


@pytest.fixture
def jobs(registry: Registry, door: Door) -> list[Job]:
    """The jobs of WAIT that stand at the door."""
    jobs: list[Job] = []

    @registry.job("WAIT")
    async def wait(payload: Payload, job: Job) -> str:
        jobs.append(job)
        await door.passed()
        return f"attempt {job.attempt}"

    return jobs


async def running_job(house: House, jobs: list[Job]) -> Job:
    await house.submit("WAIT")
    await eventually(lambda: jobs)
    return jobs[-1]


def artifacts_of(job: StoredJob) -> list[dict[str, Any]]:
    artifacts: list[dict[str, Any]] = msgspec.json.decode(job.artifacts)
    return artifacts


async def lose_the_lease(house: House) -> None:
    await house.real_store.end_worker(house.worker.lease.worker_id, None, house.runtime.clock.now())
    await take_back(house.runtime)


# ----------------------------------------------------------------------------------- progress


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(runner, "PROGRESS_SECONDS", 0.1)
    return 0.1


async def test_progress_is_seen_while_the_job_runs(
    registry: Registry, jobs: list[Job], door: Door, often: float
) -> None:
    async with open_house(registry) as house:
        job = await running_job(house, jobs)
        job.progress(3, 10, "third")

        async def is_seen() -> bool:
            return (await house.job(job.id)).progress == b'{"done":3,"total":10,"message":"third"}'

        await eventually(is_seen)
        door.open()


async def test_a_thousand_reports_are_few_writes_and_the_last_one_is_kept(
    registry: Registry, jobs: list[Job], door: Door, often: float
) -> None:
    async with open_house(registry) as house:
        job = await running_job(house, jobs)
        begun = house.runtime.clock.rising()
        while house.runtime.clock.rising() < begun + 0.5:
            job.progress(house.runtime.clock.rising())
            await loop_turns(1)
        job.progress(1000, 1000)
        took = house.runtime.clock.rising() - begun
        writes = len(house.store.notes)
        door.open()
        done = await house.until(job.id, Status.COMPLETED)

    assert 1 <= writes <= took / often + 1
    assert done.progress == b'{"done":1000,"total":1000,"message":null}'


async def test_progress_that_says_nothing_new_is_not_written_again(
    registry: Registry, jobs: list[Job], door: Door, often: float
) -> None:
    async with open_house(registry) as house:
        job = await running_job(house, jobs)
        job.progress(1)
        await eventually(lambda: house.store.notes)
        await house.beats(4)
        door.open()

        assert len(house.store.notes) == 1


async def test_progress_that_could_not_be_written_is_written_later(
    registry: Registry, jobs: list[Job], door: Door, often: float
) -> None:
    async with open_house(registry) as house:
        job = await running_job(house, jobs)
        house.store.refuse("note", times=2)
        job.progress(7)

        async def is_seen() -> bool:
            return (await house.job(job.id)).progress is not None

        await eventually(is_seen)
        door.open()


async def test_the_last_progress_of_a_failed_attempt_is_kept(registry: Registry) -> None:
    @registry.job("FAIL")
    def fail(payload: Payload, job: Job) -> None:
        job.progress(4, 5)
        raise ValueError

    async with open_house(registry) as house:
        job = await house.until(await house.submit("FAIL", max_attempts=1))

    assert job.progress == b'{"done":4,"total":5,"message":null}'


# -------------------------------------------------------------------------------- checkpoints


async def test_a_checkpoint_is_durable_when_it_returns_and_the_next_attempt_finds_it(registry: Registry) -> None:
    seen: list[Any] = []
    in_store: list[bytes | None] = []
    house: House

    @registry.job("STEPS")
    async def steps(payload: Payload, job: Job) -> Any:
        seen.append(job.last_checkpoint)
        await job.checkpoint({"step": job.attempt})
        stored = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(checkpoint_of(house, job), loop))
        in_store.append(stored)
        if job.attempt < 3:
            raise ValueError
        return job.last_checkpoint

    loop = asyncio.get_running_loop()
    async with open_house(registry, {"TREADLE_RETRY_BASE_SECONDS": "0"}) as house:
        job_id = await house.submit("STEPS")

        async def is_done() -> bool:
            await promote_due(house.runtime)
            return await house.status(job_id) == "completed"

        await eventually(is_done)
        job = await house.job(job_id)

    assert seen == [None, {"step": 1}, {"step": 2}]
    assert in_store == [b'{"step":1}', b'{"step":2}', b'{"step":3}']
    assert job.result == b'{"step":3}'


async def checkpoint_of(house: House, job: Job) -> bytes | None:
    """As another connection sees it, right now."""
    with sqlite3.connect(house.runtime.settings.data_dir / "treadle.db") as connection:
        [found] = connection.execute("SELECT checkpoint FROM jobs WHERE id = ?", (job.id,)).fetchone()
    return None if found is None else str(found).encode()


async def test_a_plain_handler_may_save_checkpoints_too(registry: Registry) -> None:
    @registry.job("STEPS")
    def steps(payload: Payload, job: Job) -> Any:
        job.checkpoint_blocking([1, 2])
        return job.last_checkpoint

    async with open_house(registry) as house:
        job = await house.until(await house.submit("STEPS"), Status.COMPLETED)

    assert job.result == b"[1,2]"


async def test_a_checkpoint_of_a_lost_attempt_says_so_and_writes_nothing(
    registry: Registry, jobs: list[Job], door: Door
) -> None:
    # A long heartbeat: the worker has not heard of its end yet, only the store knows.
    async with open_house(registry, {"TREADLE_HEARTBEAT_SECONDS": "0.6"}) as house:
        job = await running_job(house, jobs)
        await lose_the_lease(house)

        with pytest.raises(LeaseLost):
            await job.checkpoint("of a zombie")

        assert await checkpoint_of(house, job) is None
        door.open()


async def test_a_checkpoint_waits_for_the_end_of_an_outage(registry: Registry, jobs: list[Job], door: Door) -> None:
    async with open_house(registry) as house:
        job = await running_job(house, jobs)
        house.store.refuse("note", "beat")
        saving = asyncio.create_task(job.checkpoint("kept"))
        await house.beats(3)
        assert not saving.done()

        house.store.heal()
        await saving

        assert await checkpoint_of(house, job) == b'"kept"'
        door.open()


async def test_a_checkpoint_that_waits_while_the_lease_is_lost_says_so(
    registry: Registry, jobs: list[Job], door: Door
) -> None:
    async with open_house(registry) as house:
        job = await running_job(house, jobs)
        house.store.refuse("note", "beat", "claim")
        saving = asyncio.create_task(job.checkpoint("kept"))
        await eventually(lambda: house.store.calls["note"])
        await lose_the_lease(house)
        house.store.heal("beat")

        with pytest.raises(LeaseLost):
            await asyncio.wait_for(saving, 10)


async def test_a_checkpoint_whose_answer_is_lost_is_sent_again(registry: Registry, jobs: list[Job], door: Door) -> None:
    async with open_house(registry) as house:
        job = await running_job(house, jobs)
        house.store.lose_answer("note", times=1)

        await job.checkpoint(1)

        assert house.store.calls["note"] == 2
        door.open()


# ---------------------------------------------------------------------------------- artifacts


async def test_the_settled_row_names_the_files_of_the_attempt_that_counts(registry: Registry) -> None:
    @registry.job("WRITE")
    def write(payload: Payload, job: Job) -> None:
        with job.artifact("report.txt", "text/plain") as file:
            file.write(b"attempt %d" % job.attempt)
        if job.attempt == 1:
            raise ValueError("after the file was published")

    async with open_house(registry, {"TREADLE_RETRY_BASE_SECONDS": "0"}) as house:
        job_id = await house.submit("WRITE")

        async def is_done() -> bool:
            await promote_due(house.runtime)
            return await house.status(job_id) == "completed"

        await eventually(is_done)
        job = await house.job(job_id)
        folder = house.runtime.settings.output_dir
        files = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert files == {f"{job_id}.1.report.txt": b"attempt 1", f"{job_id}.2.report.txt": b"attempt 2"}
    [artifact] = artifacts_of(job)
    assert artifact["path"] == f"{job_id}.2.report.txt"
    assert (artifact["name"], artifact["sizeBytes"], artifact["mediaType"]) == ("report.txt", 9, "text/plain")


async def test_a_failed_attempt_names_no_files(registry: Registry) -> None:
    @registry.job("WRITE")
    def write(payload: Payload, job: Job) -> None:
        with job.artifact("report.txt") as file:
            file.write(b"half the truth")
        raise ValueError

    async with open_house(registry) as house:
        job = await house.until(await house.submit("WRITE", max_attempts=1))

    assert (job.status, artifacts_of(job)) == ("failed", [])


@pytest.mark.parametrize("media_type", ["text/\ud800", "text/plain\r\nX-Evil: 1", "", "text", "a/b; c=\x00", "x" * 300])
async def test_a_media_type_that_is_none_fails_the_attempt_where_it_is_named(
    registry: Registry, media_type: str
) -> None:
    @registry.job("WRITE")
    def write(payload: Payload, job: Job) -> None:
        with job.artifact("report.txt", media_type) as file:
            file.write(b"x")

    async with open_house(registry) as house:
        job = await house.until(await house.submit("WRITE", max_attempts=1))
        left = list(house.runtime.settings.output_dir.iterdir())

    assert [error["kind"] for error in errors_of(job)] == ["ValueError"]
    assert left == []
