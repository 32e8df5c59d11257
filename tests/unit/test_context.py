from __future__ import annotations

import asyncio
import io
import logging
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO

import pytest

from tests.builders import NOW
from tests.waiting import loop_turns
from treadle.context import Job
from treadle.errors import LeaseLost, Unstorable
from treadle.ids import JobId
from treadle.job import MAX_CHECKPOINT_BYTES
from treadle.telemetry.logs import FieldsAdapter

ID = JobId("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")


class Link:
    """The worker as a ``Job`` sees it: notes what it is told."""

    def __init__(self) -> None:
        self.cancelled = False
        self.lease_valid = True
        self.progress: list[bytes] = []
        self.checkpoints: list[bytes] = []
        self.artifacts: list[tuple[str, str, bool]] = []
        self.answer: BaseException | None = None

    def is_cancelled(self) -> bool:
        return self.cancelled

    def is_lease_valid(self) -> bool:
        return self.lease_valid

    def report_progress(self, progress: bytes) -> None:
        self.progress.append(progress)

    def save_checkpoint(self, checkpoint: bytes) -> Future[None]:
        self.checkpoints.append(checkpoint)
        saved: Future[None] = Future()
        if self.answer is None:
            saved.set_result(None)
        else:
            saved.set_exception(self.answer)
        return saved

    def open_artifact(self, name: str, media_type: str, *, deterministic: bool) -> AbstractContextManager[BinaryIO]:
        self.artifacts.append((name, media_type, deterministic))
        return nullcontext(io.BytesIO())


@pytest.fixture
def link() -> Link:
    return Link()


def a_job(link: Link, *, checkpoint: bytes | None = None) -> Job:
    return Job(
        link,
        id=ID,
        type="TEST",
        queue="default",
        attempt=2,
        created_at=NOW,
        checkpoint=checkpoint,
        log=FieldsAdapter(logging.getLogger("treadle.test"), {"job": ID}),
    )


def test_a_handler_sees_which_attempt_of_which_job_it_runs(link: Link) -> None:
    job = a_job(link)

    assert (job.id, job.type, job.queue, job.attempt) == (ID, "TEST", "default", 2)
    assert job.created_at == NOW


def test_the_idempotency_key_is_the_id_and_so_the_same_over_all_attempts(link: Link) -> None:
    assert a_job(link).idempotency_key == ID


def test_a_cancel_request_reaches_the_handler_when_it_looks(link: Link) -> None:
    job = a_job(link)
    assert not job.cancelled

    link.cancelled = True

    assert job.cancelled


def test_a_lease_that_may_have_expired_is_no_longer_valid(link: Link) -> None:
    job = a_job(link)
    assert job.lease_valid()

    link.lease_valid = False

    assert not job.lease_valid()


def test_progress_is_told_as_compact_json(link: Link) -> None:
    a_job(link).progress(3, 10, "third")
    a_job(link).progress(0.5)

    assert link.progress == [
        b'{"done":3,"total":10,"message":"third"}',
        b'{"done":0.5,"total":null,"message":null}',
    ]


@pytest.mark.parametrize("done", [float("nan"), 2**60])
def test_progress_that_no_store_takes_is_refused_where_it_is_told(link: Link, done: float) -> None:
    with pytest.raises(Unstorable):
        a_job(link).progress(done)

    assert link.progress == []


def test_an_artifact_is_opened_as_it_was_asked_for(link: Link) -> None:
    job = a_job(link)

    with job.artifact("report.pdf") as file:
        file.write(b"x")
    with job.artifact("rows.csv", "text/csv", deterministic=True):
        pass

    assert link.artifacts == [
        ("report.pdf", "application/octet-stream", False),
        ("rows.csv", "text/csv", True),
    ]


def test_a_first_attempt_finds_no_checkpoint(link: Link) -> None:
    assert a_job(link).last_checkpoint is None


def test_an_attempt_finds_what_the_one_before_it_saved(link: Link) -> None:
    assert a_job(link, checkpoint=b'{"page":7}').last_checkpoint == {"page": 7}


async def test_a_checkpoint_is_durable_when_it_returns(link: Link) -> None:
    job = a_job(link)

    await job.checkpoint({"page": 8})

    assert link.checkpoints == [b'{"page":8}']
    assert job.last_checkpoint == {"page": 8}


def test_a_plain_handler_has_a_checkpoint_of_its_own(link: Link) -> None:
    a_job(link).checkpoint_blocking([1, 2])

    assert link.checkpoints == [b"[1,2]"]


async def test_this_attempt_sees_its_checkpoint_as_the_next_one_will(link: Link) -> None:
    job = a_job(link)
    state: dict[str, Any] = {"pages": (1, 2)}

    await job.checkpoint(state)
    state["pages"] = "changed after it was saved"

    assert job.last_checkpoint == {"pages": [1, 2]}


async def test_a_checkpoint_of_a_lost_attempt_says_so(link: Link) -> None:
    link.answer = LeaseLost("the attempt is past")

    with pytest.raises(LeaseLost):
        await a_job(link).checkpoint(1)
    with pytest.raises(LeaseLost):
        a_job(link).checkpoint_blocking(1)


@pytest.mark.parametrize("value", [object(), "\0", "x" * MAX_CHECKPOINT_BYTES])
async def test_a_checkpoint_that_no_store_takes_is_refused_before_it_is_sent(link: Link, value: object) -> None:
    job = a_job(link, checkpoint=b'"before"')

    with pytest.raises(Unstorable):
        await job.checkpoint(value)

    assert link.checkpoints == []
    assert job.last_checkpoint == "before"


async def test_a_checkpoint_waits_without_blocking_the_loop(link: Link) -> None:
    saved: Future[None] = Future()
    link.save_checkpoint = lambda checkpoint: saved  # type: ignore[method-assign]
    task = asyncio.create_task(a_job(link).checkpoint(1))
    await loop_turns(2)
    assert not task.done()

    saved.set_result(None)

    await task
