"""Job types that try to give away what they can see, and to write what they should not."""

import os

import msgspec

from treadle import Job, Retry, Treadle

app = Treadle()


class Given(msgspec.Struct):
    """Anything."""

    text: str = ""
    password: str = ""


@app.job("ENVIRONMENT", isolate=True)
def environment(payload: Given, job: Job) -> dict[str, str]:
    """Everything that a child process is told, but for the addresses that it is meant to know."""
    told = dict(os.environ)  # noqa: TID251  (what it sees is what the test asks)
    return {name: value for name, value in told.items() if name not in {"DATABASE_URL", "REDIS_URL"}}


@app.job("SHOUT", retry=Retry(attempts=1))
def shout(payload: Given, job: Job) -> None:
    """Log what it was given, and fail with it."""
    job.log.warning("heard %s", payload.text)
    raise ValueError(payload.text)
