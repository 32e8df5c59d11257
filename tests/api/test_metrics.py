"""GET /metrics: what it tells, to whom, what it costs the store, and that nothing grows without bounds."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import Api, NewApi
from treadle.testing import FaultyStore

TOKEN = "scrape_0123456789abcdef"
LOGIN = ("ada", "pass:word")
CLOSED = {"ADMIN_USER": "ada", "ADMIN_PASS": "pass:word", "TREADLE_API_KEYS": "tk_0123456789abcdef"}


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """A scrape, by sample name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(api: Api, **options: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = await api.client.get("/metrics", **options)
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


def of(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


async def test_submissions_and_what_waits_are_told_by_type_queue_and_priority(api: Api) -> None:
    await api.submit()
    await api.submit(priority="high")
    await api.client.post("/jobs/batch", json={"jobs": [{"type": "GREET", "payload": {"name": "Ada"}}] * 3})

    told = await scrape(api)

    assert told[of("treadle_jobs_total", type="GREET", queue="greetings", outcome="submitted")] == 5
    assert told[of("treadle_batch_items_count", verb="submit")] == 3
    assert told[of("treadle_batch_items_sum", verb="submit")] == 5
    assert told[of("treadle_queue_jobs", queue="greetings", priority="default")] == 4
    assert told[of("treadle_queue_jobs", queue="greetings", priority="high")] == 1
    assert told[of("treadle_queue_oldest_seconds", queue="greetings", priority="default")] > 0
    assert told[of("treadle_queue_oldest_seconds", queue="default", priority="default")] == 0
    assert told[of("treadle_stored_jobs", status="queued")] == 5
    assert told[of("treadle_store_up")] == 1
    assert told[of("treadle_hints_up")] == 1
    assert told[of("treadle_workers")] == 0
    assert told[of("treadle_store_seconds_count", call="insert")] == 3
    assert told[of("treadle_disk_free_bytes", folder="output")] > 0


async def test_openmetrics_is_told_to_who_asks_for_it(api: Api) -> None:
    plain = await api.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    wanted = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    opened = await api.client.get("/metrics", headers=wanted)
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert opened.text.endswith("# EOF\n")


async def test_requests_are_told_by_route_and_never_by_path(api: Api) -> None:
    job_id = await api.submit()
    await api.client.get(f"/jobs/{job_id}")
    await api.client.get("/jobs/019c0000-0000-7000-8000-000000000000")
    await api.client.get("/nowhere/at/all")
    await api.client.request("BREW", "/jobs")

    told = await scrape(api)

    name = "treadle_http_requests_total"
    assert told[of(name, method="GET", route="/jobs/{job_id}", status="200")] == 1
    assert told[of(name, method="GET", route="/jobs/{job_id}", status="404")] == 1
    assert told[of(name, method="GET", route="other", status="404")] == 1
    assert told[of(name, method="other", route="/jobs", status="405")] == 1
    assert told[of("treadle_http_request_seconds_count", method="GET", route="/jobs/{job_id}")] == 2
    assert not any(job_id in value for _, labels in told for _, value in labels)


async def test_types_that_nobody_knows_are_told_as_other(new_api: NewApi) -> None:
    api = await new_api({"TREADLE_PAYLOAD_VALIDATION": "lenient"})
    for n in range(3):
        answer = await api.client.post("/jobs", json={"type": f"MADE_UP_{n}", "payload": {}})
        assert answer.status_code == 201

    told = await scrape(api)

    assert told[of("treadle_jobs_total", type="other", queue="default", outcome="submitted")] == 3


async def test_a_store_that_is_away_is_told_with_200(api: Api) -> None:
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    store.refuse()

    told = await scrape(api)

    assert told[of("treadle_store_up")] == 0
    assert not any(name in ("treadle_queue_jobs", "treadle_workers") for name, _ in told)


async def test_many_scrapes_cost_the_store_one_look(api: Api) -> None:
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    for _ in range(5):
        await scrape(api)
    assert (store.calls["queues"], store.calls["counts"], store.calls["workers"]) == (1, 1, 1)


@pytest.mark.only_on("sqlite", reason="no store is asked")
async def test_without_a_token_the_admin_login_opens_it(new_api: NewApi) -> None:
    api = await new_api(CLOSED)
    assert (await api.client.get("/metrics")).status_code == 401
    key = {"Authorization": "Bearer tk_0123456789abcdef"}
    assert (await api.client.get("/metrics", headers=key)).status_code == 401
    assert (await api.client.get("/metrics", auth=LOGIN)).status_code == 200


@pytest.mark.only_on("sqlite", reason="no store is asked")
@pytest.mark.parametrize("closed", [CLOSED, {}], ids=["login", "no login"])
async def test_the_token_opens_it_and_nothing_else(new_api: NewApi, closed: dict[str, str]) -> None:
    api = await new_api({**closed, "TREADLE_METRICS_TOKEN": TOKEN})
    shown = {"Authorization": f"Bearer {TOKEN}"}
    assert (await api.client.get("/metrics", headers=shown)).status_code == 200
    assert (await api.client.get("/metrics")).status_code == 401
    assert (await api.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}x"})).status_code == 401
    if closed:
        assert (await api.client.get("/metrics", auth=LOGIN)).status_code == 200
        assert (await api.client.get("/admin/stats", headers=shown)).status_code == 401
