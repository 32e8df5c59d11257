"""Delete and erase over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.conftest import Api
from treadle.ids import JobId, new_job_id


async def a_cancelled_job(api: Api) -> JobId:
    job_id = await api.submit()
    assert (await api.client.post(f"/jobs/{job_id}/cancel")).status_code == 200
    return JobId(job_id)


def files_of(api: Api, job_id: JobId) -> list[Path]:
    """What two attempts might have left, and what is somebody else's."""
    root = api.runtime.artifacts.root
    others = [root / "mine.txt", root / f"{new_job_id()}.csv", root / f"{job_id}0.csv"]
    own = [root / f"{job_id}.csv", root / f"{job_id}.1.report.pdf", root / job_id]
    for path in (*own, *others):
        path.write_text("x")
    return own


@pytest.mark.parametrize(("query", "removed"), [("", 0), ("?files=false", 0), ("?files=true", 3)])
async def test_a_final_job_is_deleted_with_its_files_only_on_demand(api: Api, query: str, removed: int) -> None:
    job_id = await a_cancelled_job(api)
    own = files_of(api, job_id)
    before = set(api.runtime.artifacts.root.iterdir())

    answer = await api.client.post(f"/admin/jobs/{job_id}/delete{query}")

    assert (answer.status_code, answer.json()) == (200, {"jobId": job_id, "filesRemoved": removed})
    assert (await api.client.get(f"/jobs/{job_id}")).status_code == 404
    assert set(api.runtime.artifacts.root.iterdir()) == before - set(own if removed else ())
    assert (await api.client.post(f"/admin/jobs/{job_id}/delete{query}")).status_code == 404


async def test_a_final_job_is_erased_and_stays_as_a_row(api: Api) -> None:
    job_id = await a_cancelled_job(api)

    for _ in range(2):
        answer = await api.client.post(f"/admin/jobs/{job_id}/erase")
        assert (answer.status_code, answer.json()) == (200, {"jobId": job_id, "status": "cancelled"})

    job = (await api.client.get(f"/admin/jobs/{job_id}")).json()
    assert (job["status"], job["payload"], job["type"]) == ("cancelled", {}, "GREET")
    assert job["erasedAt"] is not None
    refused = await api.client.post(f"/admin/jobs/{job_id}/retry")
    assert refused.status_code == 409
    assert "its payload is gone" in refused.json()["error"]


@pytest.mark.parametrize("verb", ["delete", "erase"])
async def test_what_is_not_final_or_not_there_is_refused(api: Api, verb: str) -> None:
    job_id = await api.submit()
    refused = await api.client.post(f"/admin/jobs/{job_id}/{verb}")
    words = f"a job that is queued cannot be {verb}d"
    assert (refused.status_code, refused.json()["error"]) == (409, words)
    assert (await api.client.get(f"/jobs/{job_id}")).json()["erasedAt"] is None
    for unknown in (new_job_id(), "x"):
        assert (await api.client.post(f"/admin/jobs/{unknown}/{verb}")).status_code == 404


@pytest.mark.parametrize("query", ["files=yes", "files=", "files=true&files=true", "file=true"])
async def test_a_query_that_is_not_understood_deletes_nothing(api: Api, query: str) -> None:
    job_id = await a_cancelled_job(api)
    assert (await api.client.post(f"/admin/jobs/{job_id}/delete?{query}")).status_code == 400
    assert (await api.client.get(f"/jobs/{job_id}")).status_code == 200
