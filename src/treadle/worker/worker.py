"""``Worker``: the parts of one worker process, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging

from treadle.errors import Unavailable
from treadle.jobtype import Hook
from treadle.service.runtime import Runtime
from treadle.service.settle import Settler
from treadle.telemetry.tracing import flush
from treadle.worker.attempt import StopReason
from treadle.worker.children import Children
from treadle.worker.executor import Executor
from treadle.worker.handlers import HandlerLoop, HandlerThreads
from treadle.worker.holding import Holding
from treadle.worker.lease import Lease
from treadle.worker.runner import Runner

logger = logging.getLogger("treadle.worker")

HOOK_SECONDS = 30.0
"""How long a start or stop hook of user code may take."""
LAST_WORDS_SECONDS = 3.0
"""After the grace: time for interrupted handlers to end and for releases to be written."""


class Worker:
    """Runs jobs from ``start`` to ``stop``."""

    def __init__(self, runtime: Runtime, version: str, children: Children | None = None) -> None:
        """``children``: where isolated handlers run; without it they run in this process, like all others."""
        self._runtime = runtime
        self._children = children
        self._holding = Holding()
        self._settler = Settler(runtime)
        self.lease = Lease(runtime, self._holding, self._settler, version)
        self._handlers = HandlerLoop()
        overrun_seconds = runtime.settings.overrun_seconds
        self._executor = Executor(runtime.registry, self._handlers, HandlerThreads(), overrun_seconds, children)
        self._runner = Runner(runtime, self._holding, self._settler, self.lease, self._executor)
        self._tell_slots()
        self._claiming: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """Attempts running now."""
        return self._runner.running

    @property
    def is_worn_out(self) -> bool:
        """Whether so many handlers are stuck for good that the process should drain and be started anew."""
        return self._executor.stuck * 2 >= max(2, self._runtime.settings.concurrency)

    async def start(self) -> None:
        """Run the start hooks, begin the lease, open the slots."""
        self._handlers.start()
        for hook in self._runtime.registry.start_hooks:
            await asyncio.wait_for(asyncio.wrap_future(self._handlers.run(_call(hook))[0]), HOOK_SECONDS)
        if self._children is not None and any(jobtype.isolation is not None for jobtype in self._runtime.registry):
            await self._children.warm()
        await self.lease.begin()
        self._writing = asyncio.create_task(self._runner.write_progress_forever())
        self._beating = asyncio.create_task(self.lease.run())
        self._claiming = asyncio.create_task(self._runner.claim_forever())
        logger.info(
            "worker started, %d slots, types %s",
            self._runtime.settings.concurrency,
            ", ".join(self._runtime.registry.names),
            extra={"worker": self.lease.worker_id},
        )

    async def stop(self, grace_seconds: float) -> None:
        """Stop claiming, let running jobs finish within the grace, release the rest, end the lease. Once."""
        claiming, self._claiming = self._claiming, None
        beating, self._beating = self._beating, None
        if claiming is None or beating is None:
            return
        await _cancelled(claiming)
        if self.running:
            logger.info("waiting up to %g s for running jobs", grace_seconds, extra={"count": self.running})
        if not await self._runner.drain(grace_seconds):
            for attempt in self._holding.attempts:
                attempt.stop(StopReason.SHUTDOWN)
            await self._runner.drain(LAST_WORDS_SECONDS)
        # A beat that meets the ended lease would take it for lost, and begin a new one.
        await _cancelled(beating)
        try:
            await asyncio.wait_for(self.lease.end(), LAST_WORDS_SECONDS)
        except (Unavailable, TimeoutError) as error:
            logger.warning("could not end the lease; others will find it expired: %s", error)
        if self._writing is not None:
            await _cancelled(self._writing)
        if self._children is not None:
            await self._children.aclose()
        await self._run_stop_hooks()
        self._handlers.stop()
        await asyncio.to_thread(flush, LAST_WORDS_SECONDS)

    def _tell_slots(self) -> None:
        metrics = self._runtime.metrics
        metrics.slots.tell(self._runtime.settings.concurrency)
        metrics.slots_used.ask(lambda: self._runner.running)
        metrics.slots_stuck.ask(lambda: self._executor.stuck)

    async def _run_stop_hooks(self) -> None:
        for hook in self._runtime.registry.stop_hooks:
            try:
                await asyncio.wait_for(asyncio.wrap_future(self._handlers.run(_call(hook))[0]), HOOK_SECONDS)
            except Exception:  # user code; the process is ending, and the next hook deserves its turn
                logger.exception("a stop hook failed")


async def _call(hook: Hook) -> None:
    await hook()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
