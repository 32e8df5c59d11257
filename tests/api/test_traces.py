"""A submission's traceparent is kept with its jobs; one that is invalid is as good as none."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api
from treadle.ids import new_worker_id
from treadle.store.protocol import ClaimRequest, WorkerRecord

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
JOB = {"type": "GREET", "payload": {"name": "Ada"}}


async def kept(api: Api) -> list[str | None]:
    """What a worker that claims everything gets."""
    now = api.runtime.clock.now()
    worker = WorkerRecord(
        id=new_worker_id(),
        host="test",
        pid=1,
        version="test",
        queues=(),
        concurrency=10,
        running=0,
        beat=0,
        started_at=now,
        beat_at=now,
        ended_at=None,
    )
    await api.runtime.store.register_worker(worker)
    request = ClaimRequest(worker_id=worker.id, limit=10, types=("GREET",))
    return [job.traceparent for job in await api.runtime.store.claim(request, now)]


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}], ids=["plain", "keyed"])
async def test_one_and_many_keep_it(api: Api, key: dict[str, str]) -> None:
    answer = await api.client.post("/jobs", json=JOB, headers={"traceparent": TRACEPARENT, **key})
    assert answer.status_code == 201
    many = await api.client.post("/jobs/batch", json={"jobs": [JOB, JOB]}, headers={"traceparent": TRACEPARENT})
    assert many.status_code == 201
    await api.submit()
    assert sorted(await kept(api), key=str) == [TRACEPARENT] * 3 + [None]


@pytest.mark.parametrize(
    "fields",
    [
        [("traceparent", "nonsense")],
        [("traceparent", TRACEPARENT.replace("4", "é"))],
        [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)],
    ],
    ids=["nonsense", "not ASCII", "twice"],
)
async def test_an_invalid_one_is_ignored(api: Api, fields: list[tuple[str, str]]) -> None:
    headers = [(name.encode(), value.encode()) for name, value in fields]
    answer = await api.client.post("/jobs", json=JOB, headers=headers)
    assert answer.status_code == 201
    assert await kept(api) == [None]
