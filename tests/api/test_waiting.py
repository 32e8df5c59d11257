"""``?wait=``: what it costs nobody, and whom it lets go."""

from __future__ import annotations

import asyncio

from tests.api.asgi import GONE, HOST, call, piece
from tests.api.conftest import Api
from tests.api.test_contract import run_one
from tests.waiting import eventually
from treadle.states import Verb
from treadle.testing import FaultyStore


async def test_a_job_that_is_final_or_unknown_is_not_waited_for(api: Api) -> None:
    job_id = await api.submit()
    await api.client.post(f"/jobs/{job_id}/cancel")
    async with asyncio.timeout(10):
        assert (await api.client.get(f"/jobs/{job_id}?wait=60")).json()["status"] == "cancelled"
        assert (await api.client.get("/jobs/019c0000-0000-7000-8000-000000000000?wait=60")).status_code == 404


async def test_a_wait_of_nothing_is_a_look(api: Api) -> None:
    job_id = await api.submit()
    for nothing in ("0", "0.0", "0.000001"):
        assert (await api.client.get(f"/jobs/{job_id}?wait={nothing}")).json()["status"] == "queued"


async def test_the_payload_can_be_waited_for_too(api: Api) -> None:
    job_id = await api.submit()
    waiting = asyncio.create_task(api.client.get(f"/jobs/{job_id}?wait=60&include=payload"))
    await run_one(api, job_id, Verb.COMPLETE, result=b"1")
    job = (await waiting).json()
    assert (job["status"], job["payload"]) == ("completed", {"name": "Ada"})


async def test_all_who_wait_share_their_looks(api: Api) -> None:
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    ids = [await api.submit() for _ in range(40)]
    waiting = [asyncio.create_task(api.client.get(f"/jobs/{job_id}?wait=60")) for job_id in ids]
    await eventually(lambda: store.calls["statuses"] >= 3)
    before = store.calls["statuses"]
    for job_id in ids:
        await api.client.post(f"/jobs/{job_id}/cancel")
    assert {(await task).json()["status"] for task in waiting} == {"cancelled"}
    assert store.calls["statuses"] - before < len(ids)


async def test_a_client_that_leaves_waits_no_longer(api: Api) -> None:
    job_id = await api.submit()
    async with asyncio.timeout(10):
        await call(api.app, "GET", f"/jobs/{job_id}", [piece(), GONE], [HOST], query=b"wait=60")


async def test_the_watcher_lets_everybody_go_when_it_closes(api: Api) -> None:
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    job_id = await api.submit()
    waiting = asyncio.create_task(api.client.get(f"/jobs/{job_id}?wait=60"))
    await eventually(lambda: store.calls["statuses"] >= 1)
    async with asyncio.timeout(10):
        await api.watcher.aclose()
        assert (await waiting).json()["status"] == "queued"
