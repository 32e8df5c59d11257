"""Catalogue: the job types this process may accept, its own and those that other processes have published.

An API without the user's code knows the types of the workers that have it: by name, policy and JSON Schema.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import msgspec

from treadle.jobtype import JobType
from treadle.jsonschema import Check, compile_schema
from treadle.retry import Backoff
from treadle.service.runtime import Runtime
from treadle.store.protocol import PublishedType

logger = logging.getLogger("treadle.types")

STALE_SECONDS = 10.0
"""How old the published types may be that a submission goes by."""
LOOK_AGAIN_SECONDS = 1.0
"""An unknown name is looked up at most so often: anybody may send any number of them."""


@dataclass(frozen=True, slots=True)
class KnownType:
    """What accepting a job of a type needs."""

    name: str
    queue: str
    max_attempts: int
    max_crashes: int
    timeout_seconds: float
    backoff: Backoff
    schema: bytes
    """JSON Schema of the payload, as JSON."""
    check: Check
    is_own: bool
    """Known from this process's own code, and not only from the store."""


class Catalogue:
    """The types of one process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._own = {jobtype.name: _own(jobtype, runtime.backoff_scale) for jobtype in runtime.registry}
        self._published: dict[str, KnownType] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    def __iter__(self) -> Iterator[KnownType]:
        yield from self._own.values()
        yield from (known for name, known in self._published.items() if name not in self._own)

    def get(self, name: str) -> KnownType | None:
        """The type called ``name``, as far as it was read; ``look_up`` first."""
        return self._own.get(name) or self._published.get(name)

    @property
    def queues(self) -> frozenset[str]:
        """Queues that a known type names."""
        return frozenset(known.queue for known in self)

    async def look_up(self, names: Collection[str]) -> None:
        """Read what others have published where one of ``names`` needs it. Raises ``Unavailable``."""
        if all(name in self._own for name in names):
            return
        is_known = all(name in self._own or name in self._published for name in names)
        if self._age_seconds() >= (STALE_SECONDS if is_known else LOOK_AGAIN_SECONDS):
            await self.read()

    async def look_up_all(self) -> None:
        """Read what others have published, where the last look is no longer fresh. Raises ``Unavailable``."""
        if self._age_seconds() >= LOOK_AGAIN_SECONDS:
            await self.read()

    async def read(self) -> None:
        """Read all that others have published; several who ask at once share one look. Raises ``Unavailable``."""
        asked_at = self._runtime.clock.rising()
        async with self._reading:
            if self._read_at is not None and self._read_at >= asked_at:
                return
            began_at = self._runtime.clock.rising()
            found = await self._runtime.store.types()
            self._published = {published.name: self._known(published) for published in found}
            self._read_at = began_at

    def _age_seconds(self) -> float:
        return float("inf") if self._read_at is None else self._runtime.clock.rising() - self._read_at

    def _known(self, published: PublishedType) -> KnownType:
        before = self._published.get(published.name)
        # Compiling a schema costs a millisecond; most looks find what they found before.
        check = before.check if before is not None and before.schema == published.schema else _check_of(published)
        return KnownType(
            name=published.name,
            queue=published.queue,
            max_attempts=published.max_attempts,
            max_crashes=published.max_crashes,
            timeout_seconds=published.timeout_seconds,
            backoff=published.backoff,
            schema=published.schema,
            check=check,
            is_own=False,
        )


def published_form(known: KnownType) -> PublishedType:
    """What the store is told of a type."""
    return PublishedType(
        name=known.name,
        queue=known.queue,
        max_attempts=known.max_attempts,
        max_crashes=known.max_crashes,
        timeout_seconds=known.timeout_seconds,
        backoff=known.backoff,
        schema=known.schema,
    )


def own_types(runtime: Runtime) -> list[PublishedType]:
    """What this process's own code tells the others."""
    return [published_form(_own(jobtype, runtime.backoff_scale)) for jobtype in runtime.registry]


async def publish(runtime: Runtime) -> None:
    """Tell the store the types that this process's code knows. Raises ``Unavailable``."""
    if types := own_types(runtime):
        await runtime.store.publish_types(types, runtime.clock.now())


def _own(jobtype: JobType, scale: float) -> KnownType:
    return KnownType(
        name=jobtype.name,
        queue=jobtype.queue,
        max_attempts=jobtype.retry.attempts,
        max_crashes=jobtype.retry.crashes,
        timeout_seconds=jobtype.timeout_seconds,
        backoff=jobtype.retry.backoff(scale=scale),
        schema=msgspec.json.encode(jobtype.model.json_schema()),
        check=jobtype.check,
        is_own=True,
    )


def _check_of(published: PublishedType) -> Check:
    try:
        return compile_schema(published.schema)
    except ValueError as error:
        # The worker checks again; refusing every job of a type for what its schema says would be worse.
        logger.warning("payloads are not checked at the door: %s", error, extra={"type": published.name})
        return lambda payload: []
