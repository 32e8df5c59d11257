"""Publish: tell all processes what this one has the code of."""

from __future__ import annotations

import msgspec

from treadle.jobtype import JobType
from treadle.service.runtime import Runtime
from treadle.store.protocol import PublishedType


async def publish(runtime: Runtime) -> None:
    """Publish every type of this process, as of its start. Writes nothing that stands there already and is fresh."""
    types = [_published(runtime, jobtype) for jobtype in runtime.registry]
    if types:
        await runtime.store.publish_types(types, runtime.clock.now())


def _published(runtime: Runtime, jobtype: JobType) -> PublishedType:
    return PublishedType(
        name=jobtype.name,
        queue=jobtype.queue,
        max_attempts=jobtype.retry.attempts,
        max_crashes=jobtype.retry.crashes,
        timeout_seconds=jobtype.timeout_seconds,
        backoff=jobtype.retry.backoff(scale=runtime.backoff_scale),
        own_backoff=jobtype.retry.backoff(),
        schema=msgspec.json.encode(jobtype.model.json_schema()).decode(),
        published_at=runtime.began_at,
    )
