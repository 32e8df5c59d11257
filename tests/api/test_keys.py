"""Idempotency keys over HTTP: spelling, batches, and a request that is on its way."""

from __future__ import annotations

import asyncio

import pytest

from tests.api.conftest import Api
from treadle.testing import FaultyStore

GOOD = {"type": "GREET", "payload": {"name": "Ada"}}


@pytest.mark.parametrize(
    ("one", "other"),
    [("order-1", '"order-1"'), ('a"b', r'"a\"b"'), (r"a\b", r'"a\\b"'), ("x" * 255, f'"{"x" * 255}"'), ("a", "  a ")],
)
async def test_a_key_means_what_is_between_its_quotes(api: Api, one: str, other: str) -> None:
    first = await api.client.post("/jobs", json=GOOD, headers={"Idempotency-Key": one})
    again = await api.client.post("/jobs", json=GOOD, headers={"Idempotency-Key": other})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert await api.rows() == 1


@pytest.mark.parametrize("key", [b"", b'""', b"x" * 256, b"a b", b"a\tb", "schlüssel".encode(), b"\x7f"])
async def test_another_key_is_refused(api: Api, key: bytes) -> None:
    answer = await api.client.post("/jobs", json=GOOD, headers=[(b"Idempotency-Key", key)])
    assert answer.status_code == 400
    assert [error["code"] for error in answer.json()["errors"]] == ["idempotency_key"]
    assert await api.rows() == 0


async def test_a_batch_is_replayed_whole(api: Api) -> None:
    jobs = {"jobs": [GOOD, GOOD, GOOD]}
    first = await api.client.post("/jobs/batch", json=jobs, headers={"Idempotency-Key": "k"})
    again = await api.client.post("/jobs/batch", json=jobs, headers={"Idempotency-Key": "k"})
    other = await api.client.post("/jobs/batch", json={"jobs": [GOOD]}, headers={"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert again.json()["jobIds"] == first.json()["jobIds"]
    assert again.headers["idempotency-replayed"] == "true"
    assert await api.rows() == 3


async def test_a_request_that_is_being_stored_is_in_flight(api: Api) -> None:
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    gate = store.hold("insert")
    first = asyncio.create_task(api.client.post("/jobs", json=GOOD, headers={"Idempotency-Key": "k"}))
    await gate.reached.wait()

    answer = await api.client.post("/jobs", json=GOOD, headers={"Idempotency-Key": "k"})

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/idempotency-key-in-flight")
    assert int(answer.headers["retry-after"]) >= 1
    gate.open()
    assert (await first).status_code == 201


async def test_a_refused_request_does_not_use_up_its_key(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    assert (await api.client.post("/jobs", json={**GOOD, "payload": {}}, headers=headers)).status_code == 400
    assert (await api.client.post("/jobs", json=GOOD, headers=headers)).status_code == 201
