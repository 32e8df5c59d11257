"""An API without the user's code and a worker with it: they share a database and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.flow.conftest import NewStack
from tests.flow.stack import APPS, SOURCE, Stack
from tests.waiting import eventually_blocking

GOOD = {"url": "a.png", "width": 3}
BAD = {"width": 0, "tags": ["x", 5], "colour": 1}


@pytest.fixture
def stack(new_stack: NewStack) -> Stack:
    """Its API has the built-in types alone."""
    return new_stack({"TREADLE_APP": "", "PYTHONPATH": SOURCE})


WITH_CODE = {"TREADLE_APP": "thumbs:app", "PYTHONPATH": os.pathsep.join((SOURCE, str(APPS)))}


def post(stack: Stack, payload: object, **members: Any) -> Any:
    return stack.client.post("/jobs", json={"type": "THUMBNAIL", "payload": payload, **members})


def told(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 400, answer.text
    return sorted(answer.json()["errors"], key=lambda error: str(error["pointer"]))


def test_an_api_without_the_code_takes_what_a_worker_told_of(stack: Stack) -> None:
    stack.start("api")
    assert [error["code"] for error in told(post(stack, GOOD))] == ["unknown_type"]

    worker = stack.start("worker", settings=WITH_CODE)
    eventually_blocking(lambda: post(stack, GOOD).status_code == 201, within_seconds=60)

    answer = post(stack, GOOD)
    assert answer.status_code == 201, answer.text
    job = stack.finish(answer.json()["jobId"])
    assert (job["status"], job["result"]) == ("completed", "a.png at 3")
    assert (job["queue"], job["maxAttempts"], job["timeoutSeconds"]) == ("images", 4, 30.0)
    without_code = told(post(stack, BAD))
    types = {known["name"]: known for known in stack.client.get("/types").json()["types"]}
    assert types["THUMBNAIL"]["origin"] == "published"
    assert types["THUMBNAIL"]["schema"]["$defs"]["Thumbnail"]["required"] == ["url"]
    assert types["CSV_EXPORT"]["origin"] == "process"

    # The worker goes away: what it knew is still taken, and waits.
    stack.stop(worker)
    waiting = post(stack, GOOD)
    assert waiting.status_code == 201, waiting.text
    assert stack.job(waiting.json()["jobId"])["status"] == "queued"
    stack.start("worker")  # without the code: not for it
    other = stack.submit("CSV_EXPORT", {"data": [{"a": 1}]})
    assert stack.finish(other)["status"] == "completed"
    assert stack.job(waiting.json()["jobId"])["status"] == "queued"
    stack.start("worker", settings=WITH_CODE)
    assert stack.finish(waiting.json()["jobId"])["status"] == "completed"

    # An API with the code says the very same of the very same payload.
    stack.stop(stack.processes[0])
    stack.start("api", settings=WITH_CODE)
    assert told(post(stack, BAD)) == without_code
    assert [error["pointer"] for error in without_code] == [
        "/payload/colour",
        "/payload/tags/1",
        "/payload/url",
        "/payload/width",
    ]


SCRIPT = """
import asyncio
from treadle import Treadle

async def main():
    async with Treadle() as app:
        print(await app.submit("THUMBNAIL", {"url": "b.png"}))
        try:
            await app.submit("THUMBNAIL", {"width": 0})
        except Exception as error:
            print(error)

asyncio.run(main())
"""


def test_a_script_without_the_code_submits_what_a_worker_told_of(stack: Stack) -> None:
    stack.start("api")
    stack.start("worker", settings=WITH_CODE)
    eventually_blocking(lambda: post(stack, GOOD).status_code == 201, within_seconds=60)

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=stack.folder,
        env=stack.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    job_id, problems = done.stdout.splitlines()
    assert stack.finish(job_id)["result"] == "b.png at 100"
    assert problems == "/payload/url: this member is required; /payload/width: Expected int >= 1"
