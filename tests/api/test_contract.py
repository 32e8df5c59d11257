"""The contract: submit, batch, keys, read, wait, cancel, files, admin."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.api.conftest import Api
from treadle.ids import JobId, new_worker_id
from treadle.outcome import Artifact
from treadle.service.claim import claim
from treadle.service.workers import register
from treadle.states import Verb
from treadle.store.protocol import Move, WorkerRecord

GOOD = {"type": "GREET", "payload": {"name": "Ada"}}


async def run_one(api: Api, job_id: str, verb: Verb | None, **members: Any) -> None:
    """Claim the job as a worker would, and end the attempt with ``verb`` (``None``: leave it running)."""
    runtime = api.runtime
    worker_id, now = new_worker_id(), runtime.clock.now()
    record = WorkerRecord(
        id=worker_id, host="h", pid=1, version="0", queues=(), concurrency=1, running=0, beat=0,
        started_at=now, beat_at=now, ended_at=None,
    )  # fmt: skip
    await register(runtime, record)
    [job] = await claim(runtime, worker_id, [JobId(job_id)], None, 1)
    if verb is not None:
        await runtime.store.settle([Move(job_id=job.id, attempt=job.attempt, verb=verb, **members)], now)


async def test_a_submitted_job_is_there_with_every_member(api: Api) -> None:
    answer = await api.client.post("/jobs", json={**GOOD, "priority": "high"})

    job_id = answer.json()["jobId"]
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/jobs/{job_id}"
    job = (await api.client.get(f"/jobs/{job_id.upper()}")).json()
    expected = {
        "id": job_id, "type": "GREET", "status": "queued", "priority": "high", "queue": "greetings",
        "attempts": 0, "result": None, "error": None,
    }  # fmt: skip
    assert {name: job[name] for name in expected} == expected
    assert {
        "failures",
        "crashes",
        "maxAttempts",
        "errors",
        "progress",
        "cancelRequested",
        "createdAt",
        "updatedAt",
    } <= set(job)
    assert {"runAt", "startedAt", "finishedAt", "artifacts"} <= set(job)
    assert "payload" not in job
    assert (await api.client.get(f"/jobs/{job_id}?include=payload")).json()["payload"] == {"name": "Ada"}
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_what_was_sent_comes_back_equal(api: Api) -> None:
    text = '{"type":"GREET","payload":{"name":"\\ud83d\\ude00 \\u2028 \\ufeff é \\" \\\\","times":-0}}'
    answer = await api.client.post("/jobs", content=text, headers={"Content-Type": "application/json"})
    stored = await api.client.get(f"/jobs/{answer.json()['jobId']}?include=payload")
    assert stored.json()["payload"] == json.loads(text)["payload"]


async def test_later_is_scheduled_and_the_past_is_now(api: Api) -> None:
    for members, status in (
        ({"delaySeconds": 60}, "scheduled"),
        ({"runAt": "2999-01-01T00:00:00+02:00"}, "scheduled"),
        ({"runAt": "1999-01-01T00:00:00Z"}, "queued"),
        ({"delaySeconds": 0}, "queued"),
    ):
        assert (await api.client.get(f"/jobs/{await api.submit(**members)}")).json()["status"] == status


async def test_a_batch_is_all_or_nothing_and_names_the_index(api: Api) -> None:
    jobs = [{**GOOD, "payload": {"name": str(n)}} for n in range(50)]
    answer = await api.client.post("/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 201
    for job_id, job in zip(answer.json()["jobIds"], jobs, strict=True):
        assert (await api.client.get(f"/jobs/{job_id}?include=payload")).json()["payload"] == job["payload"]

    bad = [*jobs, {**GOOD, "payload": {}}, {"type": "NO", "payload": {}}]
    answer = await api.client.post("/jobs/batch", json={"jobs": bad})
    assert answer.status_code == 400
    assert {e["pointer"] for e in answer.json()["errors"]} == {"/jobs/50/payload/name", "/jobs/51/type"}
    assert await api.rows() == 50
    wrongs: list[Any] = [{}, {"jobs": []}, {"jobs": 1}, {"jobs": [1]}, {"jobs": jobs, "x": 1}, []]
    for wrong in wrongs:
        assert (await api.client.post("/jobs/batch", json=wrong)).status_code == 400


async def test_ten_thousand_in_one_batch_and_not_one_more(api: Api) -> None:
    jobs = [GOOD] * 10_000
    assert len((await api.client.post("/jobs/batch", json={"jobs": jobs})).json()["jobIds"]) == 10_000
    assert (await api.client.post("/jobs/batch", json={"jobs": [*jobs, GOOD]})).status_code == 400


async def test_a_key_replays_its_own_body_and_refuses_another(api: Api) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first = await api.client.post("/jobs", json=GOOD, headers=headers)
    reordered = '{ "payload": {"name": "Ada"}, "type": "GREET" }'
    again = await api.client.post("/jobs", content=reordered, headers={**headers, "Content-Type": "application/json"})
    other = await api.client.post("/jobs", json={**GOOD, "priority": "high"}, headers=headers)

    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json() == first.json()
    assert other.status_code == 422
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert await api.rows() == 1
    for bad in ("", "x" * 256, "two words"):
        answer = await api.client.post("/jobs", json=GOOD, headers={"Idempotency-Key": bad})
        assert answer.status_code == 400


async def test_fifty_at_once_with_one_key_make_one_job(api: Api) -> None:
    async def post() -> int:
        answer = await api.client.post("/jobs", json=GOOD, headers={"Idempotency-Key": "k"})
        return answer.status_code

    statuses = await asyncio.gather(*(post() for _ in range(50)))

    assert statuses.count(201) == 1
    assert set(statuses) <= {201, 200, 409}
    assert await api.rows() == 1


async def test_wait_answers_when_the_job_ends_and_when_the_time_is_up(api: Api) -> None:
    job_id = await api.submit()
    assert (await api.client.get(f"/jobs/{job_id}?wait=0.05")).json()["status"] == "queued"
    waiting = asyncio.create_task(api.client.get(f"/jobs/{job_id}?wait=60"))
    await run_one(api, job_id, Verb.COMPLETE, result=b'"done"')
    answer = (await waiting).json()
    assert (answer["status"], answer["result"]) == ("completed", "done")


async def test_cancel_says_what_became_of_it(api: Api) -> None:
    waiting, running = await api.submit(), await api.submit()
    await run_one(api, running, None)
    for job_id, status in ((waiting, 200), (running, 202), (waiting, 409)):
        assert (await api.client.post(f"/jobs/{job_id}/cancel")).status_code == status
    assert (await api.client.get(f"/jobs/{running}")).json()["cancelRequested"] is True


async def published(api: Api, data: bytes) -> str:
    """A completed job with one file."""
    job_id = await api.submit()
    kept: list[Artifact] = []
    with api.runtime.artifacts.write(
        JobId(job_id), 1, "x.csv", "text/csv", deterministic=True, published=kept.append
    ) as file:
        file.write(data)
    listed = [
        {"name": a.name, "path": a.path, "sizeBytes": a.size_bytes, "sha256": a.sha256, "mediaType": a.media_type}
        for a in kept
    ]
    await run_one(api, job_id, Verb.COMPLETE, result=b"null", artifacts=json.dumps(listed).encode())
    return job_id


async def test_a_file_comes_whole_in_parts_and_not_again(api: Api) -> None:
    job_id = await published(api, b"0123456789")
    path = f"/jobs/{job_id}/result"
    whole = await api.client.get(path)
    etag = whole.headers["etag"]
    assert (whole.status_code, whole.content) == (200, b"0123456789")
    assert whole.headers["content-disposition"] == f'attachment; filename="{job_id}.csv"'
    for wanted, part, shown in (
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
    ):
        answer = await api.client.get(path, headers={"Range": wanted})
        assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, part, shown)
    assert (await api.client.get(path, headers={"Range": "bytes=10-"})).status_code == 416
    assert (await api.client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"x"'})).status_code == 200
    assert (await api.client.get(path, headers={"If-None-Match": etag})).status_code == 304
    head = await api.client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")
    (api.runtime.artifacts.root / f"{job_id}.csv").unlink()
    assert (await api.client.get(path)).status_code == 410


async def test_no_file_is_a_404_and_no_end_a_409(api: Api) -> None:
    job_id = await api.submit()
    assert (await api.client.get(f"/jobs/{job_id}/result")).status_code == 409
    await run_one(api, job_id, Verb.FAIL, error="no")
    assert (await api.client.get(f"/jobs/{job_id}/result")).status_code == 404


async def test_an_operator_sees_what_failed_and_gives_it_a_new_life(api: Api) -> None:
    failed, dead, done = [await api.submit() for _ in range(3)]
    await run_one(api, failed, Verb.FAIL, error="no")
    await run_one(api, dead, Verb.BURY, error="poison")
    await run_one(api, done, Verb.COMPLETE, result=b"1")

    async def listed(path: str) -> list[str]:
        return [job["id"] for job in (await api.client.get(path)).json()["jobs"]]

    assert await listed("/admin/failed") == [dead, failed]
    assert await listed("/admin/failed?status=failed") == [failed]
    assert await listed("/admin/dlq") == [dead]
    assert (await api.client.post(f"/admin/jobs/{failed}/dlq")).json()["status"] == "dead"
    for job_id in (failed, dead):
        assert (await api.client.post(f"/admin/jobs/{job_id}/retry")).json()["status"] == "queued"
    for path in (f"/admin/jobs/{done}/retry", f"/admin/jobs/{failed}/dlq", f"/admin/jobs/{failed}/retry"):
        answer = await api.client.post(path)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/invalid-state")


async def test_the_list_pages_through_everything_once(api: Api) -> None:
    ids = [await api.submit(priority="high" if n % 2 else "default") for n in range(25)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await api.client.get(f"/admin/jobs?limit=7{cursor}")).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == ids[::-1]
    high = (await api.client.get("/admin/jobs?priority=high&status=queued&type=GREET&queue=greetings")).json()
    assert [job["id"] for job in high["jobs"]] == ids[1::2][::-1]


async def test_a_paused_queue_gives_nothing_until_it_is_resumed(api: Api) -> None:
    job_id = await api.submit()
    assert (await api.client.post("/admin/queues/greetings/pause")).status_code == 200
    with pytest.raises(ValueError, match="not enough values"):
        await run_one(api, job_id, None)
    queues = {queue["name"]: queue for queue in (await api.client.get("/admin/queues")).json()["queues"]}
    assert (queues["greetings"]["paused"], queues["greetings"]["queued"]) == (True, {"high": 0, "default": 1})
    assert (await api.client.post("/admin/queues/greetings/resume")).status_code == 200
    await run_one(api, job_id, None)
    assert (await api.client.post("/admin/queues/nobody/pause")).status_code == 404
    stats = (await api.client.get("/admin/stats")).json()
    assert (stats["counts"]["processing"], stats["capped"]) == (1, [])


async def test_health_names_what_is_wrong(api: Api) -> None:
    checks = {"store": "ok", "output": "ok", "hints": "ok"}
    assert (await api.client.get("/health")).json() == {"status": "ok", "checks": checks}
    await api.runtime.store.aclose()
    answer = await api.client.get("/health")
    assert (answer.status_code, answer.json()["checks"]["store"]) == (503, "unavailable")
    assert (await api.client.get("/live")).status_code == 200
    refused = await api.client.post("/jobs", json=GOOD)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
