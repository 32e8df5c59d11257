"""Types whose code is elsewhere: taken by what was published of them, read seldom, and at once where it matters."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from tests.builders import a_type, a_worker
from tests.service.conftest import Office
from treadle.errors import InvalidInput, Unavailable
from treadle.job import JobRequest
from treadle.jobtype import Registry
from treadle.retry import Backoff, Retry
from treadle.service.catalogue import FRESH_SECONDS, UNKNOWN_SECONDS
from treadle.service.publish import publish
from treadle.service.runtime import Runtime
from treadle.store.protocol import ClaimRequest, PublishedType
from treadle.testing import ManualClock, open_test_runtime

SCHEMA = {
    "type": "object",
    "properties": {"width": {"type": "integer", "minimum": 1}, "url": {"type": "string"}},
    "required": ["url"],
    "additionalProperties": False,
}
THUMBNAIL = a_type(schema=json.dumps(SCHEMA))
GOOD = JobRequest(type="THUMBNAIL", payload=b'{"url":"x"}')


async def tell(office: Office, *types: PublishedType) -> None:
    """As another process would."""
    now = office.runtime.clock.now()
    published = [a_type(**{n: getattr(t, n) for n in t.__struct_fields__} | {"published_at": now}) for t in types]
    await office.real_store.publish_types(published, now)


async def refused(office: Office, *requests: JobRequest) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as error:
        await office.submitter.submit(requests)
    return [(problem.pointer, problem.code) for problem in error.value.problems]


async def claimed(office: Office, job_id: str) -> Any:
    worker = a_worker()
    await office.real_store.register_worker(worker)
    wanted = ClaimRequest(worker_id=worker.id, limit=1, types=["THUMBNAIL", "POINT"])
    [job] = await office.real_store.claim(wanted, office.runtime.clock.now())
    assert job.id == job_id
    return job


@pytest.fixture
def clock(office: Office) -> ManualClock:
    office.runtime.clock = clock = ManualClock(office.runtime.clock.now())
    return clock


# ------------------------------------------------------------------------------- taken


async def test_a_published_types_policy_is_resolved_into_the_row_by_this_processs_own_scale(office: Office) -> None:
    office.set(retry_base_seconds=1.0)
    await tell(office, THUMBNAIL)

    submitted = await office.submitter.submit([GOOD])

    job = await claimed(office, submitted.ids[0])
    assert (job.queue, job.max_attempts, job.max_crashes, job.timeout_seconds) == ("images", 5, 2, 30.0)
    assert job.backoff == Backoff(1.0, 300.0)


async def test_a_payload_is_checked_by_the_published_schema_all_problems_at_once(office: Office) -> None:
    await tell(office, THUMBNAIL)

    told = await refused(office, JobRequest(type="THUMBNAIL", payload=b'{"width":0,"x":1}', queue="nowhere"))

    assert told == [
        ("/payload/url", "required"),
        ("/payload/width", "range"),
        ("/payload/x", "unknown_field"),
        ("/queue", "unknown_queue"),
    ]


async def test_a_large_payload_is_checked_beside_the_loop_alike(office: Office) -> None:
    await tell(office, THUMBNAIL)
    pad = b" " * 200_000

    assert await refused(office, JobRequest(type="THUMBNAIL", payload=b'{"width":0' + pad + b"}")) == [
        ("/payload/url", "required"),
        ("/payload/width", "range"),
    ]
    assert await office.submit("THUMBNAIL", payload=b'{"url":"x"' + pad + b"}")


async def test_lenient_validation_takes_the_policy_and_checks_nothing(office: Office) -> None:
    office.set(payload_validation="lenient")
    await tell(office, THUMBNAIL)

    job = await office.job(await office.submit("THUMBNAIL", payload=b'{"width":0}'))

    assert (job.queue, job.max_attempts) == ("images", 5)


async def test_a_published_types_queue_is_known(office: Office) -> None:
    await tell(office, THUMBNAIL)

    assert (await office.job(await office.submit("ANY", queue="images"))).queue == "images"
    assert await refused(office, JobRequest(type="ANY", payload=b"{}", queue="imagines")) == [
        ("/queue", "unknown_queue")
    ]


async def test_this_processs_own_code_goes_before_what_others_say(office: Office) -> None:
    await tell(office, a_type(name="POINT", queue="elsewhere", schema="{}"), THUMBNAIL)
    await office.submitter.submit([GOOD])  # so that it is read

    assert (await office.job(await office.submit("POINT", payload=b'{"x":1}'))).queue == "maps"
    assert await refused(office, JobRequest(type="POINT", payload=b"{}")) == [("/payload/x", "required")]


@pytest.mark.parametrize("schema", ['{"$ref":"http://127.0.0.1:9/x"}', '{"type":"nonsense"}', "[]"])
async def test_a_schema_that_cannot_be_used_is_said_once_and_any_object_taken(
    office: Office, schema: str, caplog: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    await tell(office, a_type(schema=schema))

    with caplog.at_level(logging.WARNING, "treadle.service"):
        for _ in range(3):
            await office.submit("THUMBNAIL", payload=b'{"width":0}')
            clock.advance(FRESH_SECONDS)

    assert [record.__dict__["type"] for record in caplog.records] == ["THUMBNAIL"]


# -------------------------------------------------------------------------------- read seldom


async def test_a_type_is_known_as_soon_as_it_is_asked_for(office: Office, clock: ManualClock) -> None:
    assert await refused(office, GOOD) == [("/type", "unknown_type")]
    await tell(office, THUMBNAIL)
    clock.advance(UNKNOWN_SECONDS)

    assert (await office.submitter.submit([GOOD])).ids


async def test_any_number_of_unknown_types_costs_one_read_in_a_quarter_of_a_second(
    office: Office, clock: ManualClock
) -> None:
    unknown = [JobRequest(type=f"NOBODY{n}", payload=b"{}") for n in range(100)]
    gate = office.store.hold("types", times=1)
    asking = [asyncio.create_task(refused(office, request)) for request in unknown]
    await gate.reached.wait()
    gate.open()
    await asyncio.gather(*asking)
    for request in unknown:
        await refused(office, request)
    assert office.store.calls["types"] == 1

    clock.advance(UNKNOWN_SECONDS)
    await refused(office, *unknown)
    assert office.store.calls["types"] == 2


async def test_a_known_type_is_read_again_only_after_a_while_and_its_change_is_seen_then(
    office: Office, clock: ManualClock
) -> None:
    await tell(office, THUMBNAIL)
    await office.submitter.submit([GOOD])
    clock.advance(FRESH_SECONDS - 0.001)
    await tell(office, a_type(queue="other", schema=json.dumps({"required": ["more"]})))

    submitted = await office.submitter.submit([GOOD])
    assert (await office.job(submitted.ids[0])).queue == "images"
    assert office.store.calls["types"] == 1

    clock.advance(0.001)
    assert await refused(office, GOOD) == [("/payload/more", "required")]
    assert office.store.calls["types"] == 2


async def test_this_processs_own_types_cost_no_read_at_all(office: Office) -> None:
    await office.submit()
    await office.submit(queue="maps")

    assert office.store.calls["types"] == 0


async def test_whether_a_type_is_known_is_not_guessed_while_the_store_is_away(office: Office) -> None:
    office.store.refuse("types", times=1)

    with pytest.raises(Unavailable):
        await office.submitter.submit([GOOD])

    assert await refused(office, GOOD) == [("/type", "unknown_type")]


async def test_who_leaves_does_not_end_the_read_of_the_others(office: Office) -> None:
    await tell(office, THUMBNAIL)
    gate = office.store.hold("types", times=1)
    leaving = asyncio.create_task(office.submitter.submit([GOOD]))
    staying = asyncio.create_task(office.submitter.submit([GOOD]))
    await gate.reached.wait()

    leaving.cancel()
    await asyncio.wait([leaving])
    gate.open()

    assert (await staying).ids
    assert office.store.calls["types"] == 1


# ------------------------------------------------------------------------------ published


async def types_by_name(runtime: Runtime) -> dict[str, PublishedType]:
    return {told.name: told for told in await runtime.store.types()}


async def test_a_process_publishes_its_types_when_it_starts(office: Office) -> None:
    told = await types_by_name(office.runtime)

    assert told.keys() == {"ANY", "POINT"}
    point = told["POINT"]
    scaled = Backoff(4.0, 100.0).scaled(office.runtime.backoff_scale)
    assert (point.queue, point.max_attempts, point.max_crashes, point.timeout_seconds) == ("maps", 5, 2, 7.0)
    assert (point.own_backoff, point.backoff) == (Backoff(4.0, 100.0), scaled)
    assert json.loads(point.schema) == office.runtime.registry.get("POINT").model.json_schema()  # type: ignore[union-attr]


async def test_a_later_process_wins_and_the_older_ones_refresh_does_not_undo_it(office: Office) -> None:
    newer = Registry()

    @newer.job("POINT", retry=Retry(attempts=9))
    def point(payload: dict[str, Any]) -> None: ...

    async with open_test_runtime(newer, folder=office.folder, has_worker=False) as other:
        await publish(office.runtime)

        assert (await types_by_name(other))["POINT"].max_attempts == 9


async def test_a_process_without_types_publishes_nothing(office: Office) -> None:
    before = await office.real_store.types()

    async with open_test_runtime(Registry(), folder=office.folder, has_worker=False) as other:
        assert await other.store.types() == before
