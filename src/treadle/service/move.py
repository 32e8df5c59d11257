"""Move: every row of one store to another, then both compared. Run again, it goes on where it was cut off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from treadle.errors import StoreRefused
from treadle.ids import JobId
from treadle.store.transfer import Checksum, Source, Target

BATCH = 500
"""Rows a transaction; a payload may be ten megabytes, so not many more."""

Told = Callable[[str, int, int], None]
"""Step (``copy`` or ``compare``), jobs done, jobs in all."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What stands at the target now; ``checksum`` is that of both sides."""

    jobs: int
    new_jobs: int
    queues: int
    keys: int
    checksum: str


class Move:
    """One move from ``source`` to ``target``."""

    def __init__(self, source: Source, target: Target) -> None:
        self._source = source
        self._target = target

    async def run(self, told: Told) -> Moved:
        """Copy, then compare. Raises ``StoreRefused`` where the target holds anything else; ``Unavailable``.

        A row that the target has already is left alone: the comparison finds out whether it is the same.
        """
        total = await self._source.job_count()
        before = await self._target.job_count()
        if before > total:
            raise StoreRefused(
                f"the target holds {before} jobs and the source {total}: this is not an empty database, nor one that "
                "an earlier move of this file was going to"
            )
        checksum = await self._copy(total, told)
        queues, keys = await self._source.read_queues(), await self._source.read_keys()
        await self._target.write_queues(queues)
        await self._target.write_keys(keys)
        await self._compare(checksum, total, told)
        return Moved(total, total - before, len(queues), len(keys), checksum)

    async def _copy(self, total: int, told: Told) -> str:
        checksum = Checksum()
        done = 0
        above: JobId | None = None
        told("copy", 0, total)
        while rows := await self._source.read_jobs(above, BATCH):
            await self._target.write_jobs(rows)
            checksum.add(rows)
            above = rows[-1].id
            done += len(rows)
            told("copy", done, total)
        return checksum.text

    async def _compare(self, wanted: str, total: int, told: Told) -> None:
        checksum = Checksum()
        done = 0
        above: JobId | None = None
        told("compare", 0, total)
        while rows := await self._target.read_jobs(above, BATCH):
            checksum.add(rows)
            above = rows[-1].id
            done += len(rows)
            told("compare", done, total)
        if done != total or checksum.text != wanted:
            raise StoreRefused(
                f"source and target differ: {total} jobs with sha256 {wanted} here, {done} with {checksum.text} there; "
                "do not use the target"
            )
        if not {q.name for q in await self._source.read_queues()} <= {q.name for q in await self._target.read_queues()}:
            raise StoreRefused("source and target differ in their queues; do not use the target")
        known = {(k.scope, k.key): k for k in await self._target.read_keys()}
        if any(known.get((k.scope, k.key)) != k for k in await self._source.read_keys()):
            raise StoreRefused("source and target differ in their idempotency keys; do not use the target")
