"""Real processes, scraped: the API, a worker without it, and both in one."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.api.test_metrics import of, samples
from tests.flow.conftest import NewStack
from tests.flow.stack import Stack
from tests.servers.ports import free_ports
from tests.waiting import eventually_blocking

Name = tuple[str, tuple[tuple[str, str], ...]]
Told = dict[Name, float]
TOKEN = "scrape_0123456789abcdef"


def scrape(url: str, **options: object) -> Told:
    answer = httpx.get(f"{url}/metrics", timeout=30, **options)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


def until(look: Callable[[], Told], key: Name, *, is_at_least: float) -> Told:
    """The first scrape that tells so much."""
    found: Told = {}

    def tells() -> bool:
        found.clear()
        found.update(look())
        return found.get(key, 0) >= is_at_least

    eventually_blocking(tells, within_seconds=30)
    return found


def test_one_process_tells_a_jobs_whole_way(dev: Stack) -> None:
    for n in range(3):
        dev.finish(dev.submit("CSV_EXPORT", {"data": [{"n": n}]}))
    jobs = {"type": "CSV_EXPORT", "queue": "default"}

    told = until(lambda: scrape(dev.url), of("treadle_jobs_total", **jobs, outcome="completed"), is_at_least=3)

    assert told[of("treadle_jobs_total", **jobs, outcome="submitted")] == 3
    assert told[of("treadle_jobs_total", **jobs, outcome="claimed")] == 3
    assert told[of("treadle_job_wait_seconds_count", queue="default", priority="default")] == 3
    assert told[of("treadle_job_run_seconds_count", type="CSV_EXPORT")] == 3
    assert told[of("treadle_job_run_seconds_bucket", type="CSV_EXPORT", le="+Inf")] == 3
    assert told[of("treadle_batch_items_sum", verb="settle")] == 3
    assert told[of("treadle_slots")] == 16
    assert told[of("treadle_workers")] == 1
    assert told[of("treadle_store_up")] == told[of("treadle_hints_up")] == 1
    assert told[of("process_resident_memory_bytes")] > 10_000_000
    assert told[of("treadle_http_requests_total", method="POST", route="/jobs", status="201")] == 3


def test_a_worker_without_the_api_tells_where_it_is_told_to(new_stack: NewStack) -> None:
    stack = new_stack()
    [port] = free_ports(1)
    settings = {"TREADLE_METRICS_PORT": str(port), "TREADLE_METRICS_TOKEN": TOKEN}
    stack.start("api")
    stack.start("worker", settings=settings)
    stack.finish(stack.submit("CSV_EXPORT", {"data": []}, priority="high"))
    url, shown = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {TOKEN}"}

    done = of("treadle_jobs_total", type="CSV_EXPORT", queue="default", outcome="completed")
    told = until(lambda: scrape(url, headers=shown), done, is_at_least=1)

    assert told[of("treadle_job_wait_seconds_count", queue="default", priority="high")] == 1
    assert told[of("treadle_workers")] == 1
    assert of("treadle_jobs_total", type="CSV_EXPORT", queue="default", outcome="submitted") not in told
    assert httpx.get(f"{url}/metrics").status_code == 401
    assert httpx.get(f"{url}/live").status_code == 200
    assert httpx.get(f"{url}/admin/jobs", headers=shown).status_code == 404
    api = scrape(stack.url)
    assert of("treadle_slots") not in api
    assert api[of("treadle_workers")] == 1
