"""Job types that do on stage what the admin page has to show: end well, fail, wait, hold secrets."""

import asyncio
from typing import Any

import msgspec

from treadle import Job, NonRetryable, Retry, Treadle

app = Treadle()


class Line(msgspec.Struct, rename="camel"):
    """What a job is to say, and anything besides."""

    text: str = ""
    seconds: float = 0.0
    value: Any = None
    password: str = ""


@app.job("ECHO")
async def echo(payload: Line) -> Any:
    """Answer with what it was given."""
    return payload.value


@app.job("FAIL")
async def fail(payload: Line) -> None:
    """Fail at once, in the words it was given."""
    raise NonRetryable(payload.text)


@app.job("RETRY", retry=Retry(attempts=20, base_seconds=36_000.0, cap_seconds=36_000.0))
async def retry(payload: Line) -> None:
    """Fail in a way that is tried again, an hour later."""
    raise RuntimeError(payload.text)


@app.job("WAIT", timeout=600)
async def wait(payload: Line, job: Job) -> None:
    """Take its time; a request to stop is heard."""
    await asyncio.sleep(payload.seconds)  # noqa: TID251  (work that takes time is what this stands for)


@app.job("PICTURE", queue="pictures")
async def picture(payload: Line) -> None:
    """Stand in a queue that nobody serves."""
