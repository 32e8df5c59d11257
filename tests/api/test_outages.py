"""The store is down, slow, full, or refuses: who is told what, and that it is never the client's fault."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Api
from treadle.errors import OutcomeUnknown, Overloaded, StoreRefused, Unavailable, Unstorable
from treadle.testing import FaultyDispatch, FaultyStore

GOOD = {"type": "GREET", "payload": {"name": "Ada"}}
CANARY = "canary-4711"


def with_faults(api: Api) -> FaultyStore:
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    return store


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (Unavailable(CANARY, retry_after_seconds=7), 503, "store-unavailable"),
        (Overloaded(CANARY, retry_after_seconds=7), 503, "overloaded"),
        (Unstorable(CANARY), 400, "invalid-request"),
        (StoreRefused(CANARY), 500, "internal-error"),
    ],
)
async def test_what_the_store_says_becomes_an_answer_without_its_words(
    api: Api, error: Exception, status: int, slug: str
) -> None:
    with_faults(api).refuse("insert", error=error)
    answer = await api.client.post("/jobs", json=GOOD)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
    assert answer.headers.get("retry-after") == ("7" if status == 503 else None)
    assert CANARY not in answer.text


async def test_an_unknown_outcome_says_that_it_may_have_happened(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treadle.batching._RESEND_PAUSE_SECONDS", ())
    with_faults(api).refuse("insert", error=OutcomeUnknown(CANARY))
    answer = await api.client.post("/jobs", json=GOOD)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-unavailable")
    assert "may have been done" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/{id}"),
        ("GET", "/jobs/{id}?wait=1"),
        ("GET", "/jobs/{id}/result"),
        ("POST", "/jobs/{id}/cancel"),
        ("GET", "/admin/jobs"),
        ("GET", "/admin/jobs/{id}"),
        ("GET", "/admin/failed"),
        ("GET", "/admin/dlq"),
        ("POST", "/admin/jobs/{id}/retry"),
        ("POST", "/admin/jobs/{id}/dlq"),
        ("GET", "/admin/stats"),
        ("GET", "/admin/workers"),
        ("GET", "/admin/queues"),
        ("POST", "/admin/queues/default/pause"),
        ("POST", "/admin/queues/default/resume"),
    ],
)
async def test_without_the_store_everything_is_a_503_with_a_time_to_come_back(api: Api, method: str, path: str) -> None:
    job_id = await api.submit()
    with_faults(api).refuse()
    answer = await api.client.request(method, path.format(id=job_id))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


async def test_health_looks_once_for_all_who_ask_and_never_twice_at_a_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.api.health.CHECK_SECONDS", 0.05)
    store = with_faults(api)
    gate = store.hold("ping")

    for _ in range(3):
        answer = await api.client.get("/health")
        # Of the store alone: the look at Redis takes longer than that.
        assert (answer.status_code, answer.json()["checks"]["store"]) == (503, "unavailable")

    assert store.calls["ping"] == 1
    gate.open()
    store.heal()
    assert (await api.client.get("/live")).status_code == 200


async def test_health_says_when_files_cannot_be_written_and_names_no_folder(api: Api) -> None:
    api.runtime.artifacts.root.rmdir()
    api.runtime.artifacts.root.touch()
    answer = await api.client.get("/health")
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["checks"]) == (503, {"store": "ok", "output": "unavailable", "hints": "ok"})
    assert str(api.runtime.artifacts.root) not in answer.text


async def test_health_without_hints_is_degraded_and_good_enough(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    assert (await api.client.get("/health")).json()["status"] == "ok"
    dispatch = FaultyDispatch(api.runtime.dispatch)
    api.runtime.dispatch = dispatch  # after the first look: each look is at what the runtime holds by then

    dispatch.check_error = Unavailable("no hints by order")
    for _ in range(3):
        answer = await api.client.get("/health")
        assert answer.status_code == 200
        checks = {"store": "ok", "output": "ok", "hints": "unavailable"}
        assert answer.json() == {"status": "degraded", "checks": checks}

    assert [record.getMessage() for record in caplog.records] == ["health: hints is unavailable (Unavailable)"]
    dispatch.check_error = None
    assert (await api.client.get("/health")).json()["status"] == "ok"


async def test_health_with_neither_store_nor_hints_is_unavailable(api: Api) -> None:
    dispatch = FaultyDispatch(api.runtime.dispatch)
    dispatch.check_error = Unavailable()
    api.runtime.dispatch = dispatch
    with_faults(api).refuse("ping")

    answer = await api.client.get("/health")

    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
