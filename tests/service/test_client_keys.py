"""Idempotency keys: one key and one body are one job, in whatever order and however often they come."""

from __future__ import annotations

import asyncio

import pytest

from tests.service.conftest import Office
from treadle.errors import KeyInFlight, KeyReused, Unavailable
from treadle.fingerprint import fingerprint
from treadle.job import JobRequest
from treadle.service.submit import ClientKey

ANY = JobRequest(type="ANY", payload=b"{}")


def a_key(body: bytes = b"{}", scope: str = "me") -> ClientKey:
    return ClientKey(scope, "k1", fingerprint(body))


async def test_the_same_key_and_body_give_the_same_job(office: Office) -> None:
    first = await office.submitter.submit([ANY], a_key())
    again = await office.submitter.submit([ANY], a_key())

    assert (first.replayed, again.replayed) == (False, True)
    assert first.ids == again.ids
    assert len(office.dispatch.announced) == 1  # the hint went out the first time


async def test_the_same_key_and_another_body_are_a_conflict(office: Office) -> None:
    await office.submitter.submit([ANY], a_key())

    with pytest.raises(KeyReused):
        await office.submitter.submit([ANY], a_key(b'{"other":1}'))


async def test_keys_of_different_owners_are_different_keys(office: Office) -> None:
    first = await office.submitter.submit([ANY], a_key(scope="me"))
    other = await office.submitter.submit([ANY], a_key(scope="you"))

    assert first.ids != other.ids


async def test_a_key_that_is_being_stored_is_in_flight_until_it_is_known(office: Office) -> None:
    gate = office.store.hold("insert", times=1)
    first = asyncio.create_task(office.submitter.submit([ANY], a_key()))
    await gate.reached.wait()

    with pytest.raises(KeyInFlight):
        await office.submitter.submit([ANY], a_key())

    gate.open()
    submitted = await first
    assert (await office.submitter.submit([ANY], a_key())).ids == submitted.ids


async def test_a_key_that_waits_holds_up_nobody_without_one(office: Office) -> None:
    gate = office.store.hold("insert", times=1)
    keyed = asyncio.create_task(office.submitter.submit([ANY], a_key()))
    await gate.reached.wait()

    await asyncio.wait_for(office.submit(), 5)

    gate.open()
    await keyed


async def test_a_key_whose_request_failed_is_free_again(office: Office) -> None:
    office.store.refuse("insert", times=1)
    with pytest.raises(Unavailable):
        await office.submitter.submit([ANY], a_key())

    assert not (await office.submitter.submit([ANY], a_key())).replayed


async def test_a_keyed_commit_whose_answer_is_lost_is_no_replay(office: Office) -> None:
    office.store.lose_answer("insert", times=1)

    submitted = await office.submitter.submit([ANY], a_key())

    assert not submitted.replayed
    assert len(office.dispatch.announced) == 1
