"""One job type: the mean of some numbers, as a value and as a file."""

from pydantic import BaseModel, Field

from treadle import Job, NonRetryable, Retry, Treadle

app = Treadle()


class Report(BaseModel):
    title: str
    numbers: list[float] = Field(min_length=1)


class Mean(BaseModel):
    mean: float


@app.job("REPORT", retry=Retry(attempts=3, base_seconds=10), timeout=60)
def report(payload: Report, job: Job) -> Mean:
    if payload.title.startswith("Draft"):
        raise NonRetryable("drafts are not reported")
    total = 0.0
    for done, number in enumerate(payload.numbers, 1):
        total += look_up(number)
        job.progress(done, len(payload.numbers), "adding")
    mean = total / len(payload.numbers)
    with job.artifact("report.txt", "text/plain") as file:
        file.write(f"{payload.title}: {mean:g}\n".encode())
    return Mean(mean=mean)


def look_up(number: float) -> float:
    """Stands for whatever may fail for a while: a ledger that is closed at night."""
    return number
