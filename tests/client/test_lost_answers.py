"""Answers that are lost on the way: one key, one job, whichever byte was the last to arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.conftest import KEY, LOGIN
from tests.flow.stack import Stack, free_ports
from tests.waiting import eventually
from treadle import AsyncClient, Client, JobDraft
from treadle.testing import FaultProxy

ROWS = {"data": [{"n": n} for n in range(5000)]}


@pytest.fixture
async def proxy(stack: Stack) -> AsyncIterator[FaultProxy]:
    proxy = FaultProxy("127.0.0.1", stack.api_port)
    await proxy.start()
    yield proxy
    await proxy.aclose()


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(f"http://127.0.0.1:{proxy.port}", key=KEY, admin=LOGIN) as client:
        yield client


async def known(client: AsyncClient, queue: str) -> int:
    return len((await client.list_jobs(status="scheduled", limit=200)).jobs)


@pytest.mark.parametrize("cut", [0, 1, 40, 150])
async def test_an_answer_cut_anywhere_makes_one_job(proxy: FaultProxy, client: AsyncClient, cut: int) -> None:
    before = await known(client, "default")
    proxy.cut()
    proxy.cut_after(cut, "down")
    job_id = await client.submit("CSV_EXPORT", {"data": []}, delay_seconds=3600)
    proxy.cut()
    proxy.cut_after(cut, "down")
    ids = await client.submit_many([JobDraft("CSV_EXPORT", {"data": []}, delay_seconds=3600)] * 2)
    assert len({job_id, *ids}) == 3
    assert await known(client, "default") == before + 3


async def test_a_server_that_comes_back_is_found_again(stack: Stack, proxy: FaultProxy, client: AsyncClient) -> None:
    proxy.upstream = ("127.0.0.1", free_ports(1)[0])  # where nobody listens
    submitting = asyncio.create_task(client.submit("CSV_EXPORT", {"data": []}))
    await eventually(lambda: proxy.accepted >= 2)
    proxy.upstream = ("127.0.0.1", stack.api_port)
    assert (await client.wait(await submitting, 30)).is_final


async def test_a_file_cut_halfway_is_begun_again(proxy: FaultProxy, client: AsyncClient, tmp_path: Path) -> None:
    job_id = await client.submit("CSV_EXPORT", ROWS)
    await client.wait(job_id, 30)
    whole = await client.result(job_id)
    proxy.cut()
    proxy.cut_after(len(whole) // 2, "down")
    assert await client.save_result(job_id, tmp_path / "awaited.csv") == len(whole)
    with Client(f"http://127.0.0.1:{proxy.port}", key=KEY) as blocking:
        proxy.cut_after(len(whole) // 2, "down")
        assert await asyncio.to_thread(blocking.save_result, job_id, tmp_path / "blocked.csv") == len(whole)
    assert {file.name for file in tmp_path.iterdir() if file.read_bytes() == whole} == {"awaited.csv", "blocked.csv"}


async def test_a_cancelled_download_leaves_no_file(proxy: FaultProxy, client: AsyncClient, tmp_path: Path) -> None:
    job_id = await client.submit("CSV_EXPORT", ROWS)
    await client.wait(job_id, 30)
    proxy.silence("down")
    saving = asyncio.create_task(client.save_result(job_id, tmp_path / "all.csv"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(saving, 0.2)
    assert list(tmp_path.iterdir()) == []
