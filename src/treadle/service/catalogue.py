"""The catalogue: every job type this process accepts, its own first, then those that others published."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from treadle.errors import InvalidInput, Problem
from treadle.jobtype import JobType, Registry
from treadle.retry import Backoff
from treadle.schema import PayloadModel
from treadle.store.protocol import PublishedType

logger = logging.getLogger("treadle.service")

FRESH_SECONDS = 5.0
"""How old what is known of others' types may be when one of them is submitted: a changed policy is seen by then."""
UNKNOWN_SECONDS = 0.25
"""The same where something unknown was asked for: a type is known at once, and a client that sends nothing but unknown
types costs the store four small reads a second, however many there are of him."""


@dataclass(frozen=True, slots=True)
class KnownType:
    """A type and its policy, wherever its code is."""

    name: str
    queue: str
    max_attempts: int
    max_crashes: int
    timeout_seconds: float
    own_backoff: Backoff
    model: PayloadModel
    is_own: bool
    """This process has its code."""


class Catalogue:
    """Finds types by name, without asking the store; ``look_up`` asks, where that may help."""

    def __init__(
        self, registry: Registry, read: Callable[[], Awaitable[Sequence[PublishedType]]], rising: Callable[[], float]
    ) -> None:
        self._registry = registry
        self._read = read
        self._rising = rising
        # Replaced whole: large payloads are checked in threads.
        self._published: Mapping[str, _Published] = {}
        self._own: dict[str, KnownType] = {}
        # What they were found in stands beside them: how many types of our own, and what was published.
        self._queues: tuple[int, Mapping[str, _Published], frozenset[str]] | None = None
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None

    def find(self, name: str) -> KnownType | None:
        """The type of this name. This process's own code goes before what another one says of it."""
        own = self._registry.get(name)
        if own is not None:
            known = self._own.get(name)  # a registered type never changes
            if known is None:
                known = self._own[name] = _own(own)
            return known
        published = self._published.get(name)
        return published.known() if published is not None else None

    @property
    def queues(self) -> frozenset[str]:
        """The queues that types name."""
        published, found = self._published, self._queues
        if found is None or found[0] != len(self._registry) or found[1] is not published:
            own = {jobtype.queue for jobtype in self._registry}
            names = frozenset(own | {foreign.told.queue for foreign in published.values()})
            found = self._queues = (len(self._registry), published, names)
        return found[2]

    async def all(self) -> list[KnownType]:
        """Every type, by name."""
        await self._be_fresh(FRESH_SECONDS)
        names = sorted({*self._registry.names, *self._published})
        return [known for name in names if (known := self.find(name)) is not None]

    async def look_up(self, types: Collection[str], queues: Collection[str]) -> None:
        """Read what others published, where one of these is not this process's own and that may be out of date.

        Raises ``Unavailable``: whether a type is known cannot be said then.
        """
        foreign = {name for name in types if self._registry.get(name) is None}
        if not foreign and not queues:
            return
        if foreign or not self.queues.issuperset(queues):
            all_known = self._published.keys() >= foreign and self.queues.issuperset(queues)
            await self._be_fresh(FRESH_SECONDS if all_known else UNKNOWN_SECONDS)

    async def _be_fresh(self, seconds: float) -> None:
        if self._read_at is not None and self._rising() - self._read_at < seconds:
            return
        if self._reading is None:
            self._reading = asyncio.create_task(self._refresh())
        # Shared by all who ask meanwhile: one that leaves must not end it for the others.
        await asyncio.shield(self._reading)

    async def _refresh(self) -> None:
        try:
            found = await self._read()
            before = self._published
            self._published = {told.name: _Published(told, before.get(told.name)) for told in found}
            self._read_at = self._rising()
        finally:
            self._reading = None


class _Published:
    """What another process told; its schema is made a model when the first payload comes."""

    def __init__(self, told: PublishedType, before: _Published | None) -> None:
        self.told = told
        is_same = before is not None and before.told.schema == told.schema
        self._model: PayloadModel | None = before._model if before is not None and is_same else None

    def known(self) -> KnownType:
        told = self.told
        if self._model is None:
            self._model = _model_of(told)
        return KnownType(
            name=told.name,
            queue=told.queue,
            max_attempts=told.max_attempts,
            max_crashes=told.max_crashes,
            timeout_seconds=told.timeout_seconds,
            own_backoff=told.own_backoff,
            model=self._model,
            is_own=False,
        )


def _own(jobtype: JobType) -> KnownType:
    return KnownType(
        name=jobtype.name,
        queue=jobtype.queue,
        max_attempts=jobtype.retry.attempts,
        max_crashes=jobtype.retry.crashes,
        timeout_seconds=jobtype.timeout_seconds,
        own_backoff=jobtype.retry.backoff(),
        model=jobtype.model,
        is_own=True,
    )


def _model_of(told: PublishedType) -> PayloadModel:
    # Here, because most processes know all their types themselves, and the engine takes megabytes.
    from treadle.jsonschema import JsonSchemaModel

    try:
        return JsonSchemaModel(told.schema)
    except ValueError as error:
        # The worker's own model checks again, so what is let through here fails there, and by name.
        why = " ".join(str(error).split())[:200]
        logger.warning(
            "payloads are taken as any object, the published schema cannot be used: %s", why, extra={"type": told.name}
        )
        return _AnyObject(told.schema)


class _AnyObject:
    """Implements ``PayloadModel`` where the schema cannot be used."""

    def __init__(self, schema: str) -> None:
        self._schema = schema

    def decode(self, payload: bytes) -> Any:
        value = msgspec.json.decode(payload)
        if not isinstance(value, dict):
            raise InvalidInput([Problem("", "type", "Expected object")])
        return value

    def json_schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = msgspec.json.decode(self._schema)
        return schema
