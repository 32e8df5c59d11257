"""Job types of other processes: accepted by name, policy and schema, and looked for without hammering the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.service.conftest import Office
from treadle.errors import InvalidInput, Unavailable
from treadle.ids import JobId
from treadle.job import JobRequest
from treadle.jobtype import Registry
from treadle.retry import Retry
from treadle.service.catalogue import publish
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter
from treadle.testing import FaultyStore, open_test_runtime


class Parcel(msgspec.Struct, forbid_unknown_fields=True):
    weight: int


@pytest.fixture
async def elsewhere(office: Office) -> AsyncIterator[Runtime]:
    """Another process on the office's database, which knows a type that the office does not."""
    registry = Registry()

    @registry.job("PARCEL", retry=Retry(attempts=7, crashes=4, base_seconds=4, cap_seconds=8), timeout=9, queue="post")
    async def parcel(payload: Parcel) -> None: ...

    async with open_test_runtime(
        registry, {"TREADLE_RETRY_BASE_SECONDS": "1"}, folder=office.folder, has_worker=False
    ) as runtime:
        yield runtime


async def refusal(office: Office, **members: Any) -> set[tuple[str, str]]:
    with pytest.raises(InvalidInput) as refused:
        await office.submit(**members)
    return {(problem.pointer, problem.code) for problem in refused.value.problems}


async def claimed(office: Office, job_id: JobId) -> Any:
    from tests.builders import a_worker
    from treadle.store.protocol import ClaimRequest

    worker = a_worker()
    await office.real_store.register_worker(worker)
    request = ClaimRequest(worker_id=worker.id, limit=1, types=["PARCEL"], ids=[job_id])
    [job] = await office.real_store.claim(request, office.runtime.clock.now())
    return job


async def test_a_type_of_another_process_is_accepted_with_its_policy(office: Office, elsewhere: Runtime) -> None:
    job_id = await office.submit("PARCEL", payload=b'{"weight":1}')

    job = await office.job(job_id)
    assert (job.queue, job.max_attempts, job.timeout_seconds) == ("post", 7, 9.0)
    seen = await claimed(office, job_id)
    assert (seen.max_crashes, seen.backoff.base_seconds, seen.backoff.cap_seconds) == (4, 2.0, 4.0)


async def test_its_payload_is_checked_as_its_own_process_would(office: Office, elsewhere: Runtime) -> None:
    own = Submitter(elsewhere)
    with pytest.raises(InvalidInput) as there:
        await own.submit([JobRequest(type="PARCEL", payload=b'{"weight":"x","y":1}')])
    await own.aclose()

    here = await refusal(office, type_name="PARCEL", payload=b'{"weight":"x","y":1}')

    assert here == {(problem.pointer, problem.code) for problem in there.value.problems}
    assert here == {("/payload/weight", "type"), ("/payload/y", "unknown_field")}


async def test_its_queue_may_be_named(office: Office, elsewhere: Runtime) -> None:
    await office.submit("PARCEL", payload=b'{"weight":1}', queue="post")
    await office.submit("ANY", queue="post")


async def test_a_name_nobody_knows_is_refused_and_asks_the_store_once_a_second_at_most(office: Office) -> None:
    before = office.store.calls["types"]
    for _ in range(50):
        assert await refusal(office, type_name="NOBODYS") == {("/type", "unknown_type")}

    assert office.store.calls["types"] - before <= 2


async def test_own_types_never_ask_the_store(office: Office) -> None:
    before = office.store.calls["types"]
    for _ in range(10):
        await office.submit("ANY")

    assert office.store.calls["types"] == before


async def test_an_unknown_name_while_the_store_is_away_is_not_called_unknown(office: Office) -> None:
    office.store.refuse("types")

    with pytest.raises(Unavailable):
        await office.submit("PARCEL", payload=b"{}")


async def test_a_change_of_policy_is_seen_after_a_while(office: Office, elsewhere: Runtime) -> None:
    await office.submit("PARCEL", payload=b'{"weight":1}')
    [parcel] = [t for t in await office.real_store.types() if t.name == "PARCEL"]
    changed = msgspec.structs.replace(parcel, max_attempts=2)
    await office.real_store.publish_types([changed], office.runtime.clock.now())
    await office.submitter.catalogue.read()

    job = await office.job(await office.submit("PARCEL", payload=b'{"weight":1}'))

    assert job.max_attempts == 2


async def test_a_schema_that_cannot_be_checked_here_lets_its_jobs_in(office: Office, elsewhere: Runtime) -> None:
    [parcel] = [t for t in await office.real_store.types() if t.name == "PARCEL"]
    odd = msgspec.structs.replace(parcel, schema=b'{"$ref":"http://127.0.0.1:9/x"}')
    await office.real_store.publish_types([odd], office.runtime.clock.now())

    assert await office.submit("PARCEL", payload=b'{"anything":1}')


async def test_lenient_takes_any_payload_of_any_type_and_still_knows_the_policy(
    office: Office, elsewhere: Runtime
) -> None:
    await office.submitter.catalogue.read()
    office.set(payload_validation="lenient")

    job = await office.job(await office.submit("PARCEL", payload=b'{"x":1}'))
    assert job.queue == "post"
    assert await office.submit("NOBODYS")


async def test_every_process_publishes_what_its_code_knows(office: Office, elsewhere: Runtime) -> None:
    assert {published.name for published in await office.real_store.types()} == {"ANY", "POINT", "PARCEL"}


async def test_a_process_without_types_writes_nothing(tmp_path: Path) -> None:
    async with open_test_runtime(Registry(), folder=tmp_path, has_worker=False) as runtime:
        runtime.store = store = FaultyStore(runtime.store)
        await publish(runtime)

    assert store.calls["publish_types"] == 0
