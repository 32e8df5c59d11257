"""Another process on a test's database: ``python -m tests.conformance.neighbour BACKEND ADDRESS ROLE COUNT``.

Says what it did on its standard output, a line at a time; a line on its standard input lets it go on. Roles:

``open``     opens the store as soon as it is let, says ``open``, and waits to be let go.
``insert``   inserts COUNT jobs, one request each, many at a time; says every id that was acknowledged.
``work``     claims by scan and completes until it is let go; says ``ID ATTEMPT`` for every job it got to complete.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.backends import STORES
from tests.builders import NOW, a_submission
from tests.conformance.steps import a_worker_in, move, scan
from treadle.states import Verb
from treadle.store.protocol import Store

BATCH = 10
ROOT = Path(__file__).resolve().parents[2]


# ------------------------------------------------------------------------------------- seen from the test


@dataclass(frozen=True)
class Neighbour:
    """The other process, as the test that started it sees it."""

    process: asyncio.subprocess.Process

    async def hear(self) -> str:
        """Its next line; empty at its end."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    async def hear_all(self) -> list[str]:
        """All its lines to its end, which must be a good one."""
        lines: list[str] = []
        while line := await self.hear():
            lines.append(line)
        assert await self.process.wait() == 0
        return lines

    def let_go(self) -> None:
        """Let it go on, or end."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    async def kill(self) -> list[str]:
        """Nobody asks it (SIGKILL), where it has not ended already; the lines it had said and nobody heard."""
        if self.process.returncode is None:
            self.process.kill()
        # Heard before its end is waited for: asyncio waits for the pipe's end too, and reads no more of it while much
        # is unheard. Where this process was slow and the other one talked a lot, it would wait for ever.
        lines: list[str] = []
        while line := await self.hear():
            lines.append(line)
        await self.process.wait()
        return lines


async def start(backend: str, address: str, role: str, count: int = 0) -> Neighbour:
    """Start a process and wait until it is ready."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.conformance.neighbour", backend, address, role, str(count)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    neighbour = Neighbour(process)
    assert await neighbour.hear() == "ready"
    return neighbour


# -------------------------------------------------------------------------------------- seen from inside


def say(line: str) -> None:
    """Flushed at once: what was said stays said when this process is killed."""
    print(line, flush=True)


async def let_go() -> None:
    """Wait for a line, or for the end of whoever started this."""
    await asyncio.to_thread(sys.stdin.readline)


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    await store.open(migrate=True)
    say("open")
    try:
        yield store
    finally:
        await store.aclose()


async def insert(store: Store, count: int) -> None:
    for done in range(0, count, BATCH):
        units = [a_submission() for _ in range(min(BATCH, count - done))]
        await store.insert(units, NOW)
        for unit in units:
            say(unit.jobs[0].id)


async def work(store: Store) -> None:
    worker_id = await a_worker_in(store)
    stop = asyncio.create_task(let_go())
    while not stop.done():
        jobs = await scan(store, worker_id, limit=BATCH)
        settled = await store.settle([move(job.id, job.attempt, Verb.COMPLETE) for job in jobs], NOW)
        for job, done in zip(jobs, settled, strict=True):
            if done.status is not None:
                say(f"{job.id} {job.attempt}")


async def play(backend: str, address: str, role: str, count: int) -> None:
    store = STORES[backend].store(address)
    say("ready")
    if role == "open":
        await let_go()
    async with opened(store):
        match role:
            case "open":
                await let_go()
            case "insert":
                await insert(store, count)
            case "work":
                await work(store)


if __name__ == "__main__":
    _, *words, count = sys.argv
    asyncio.run(play(words[0], words[1], words[2], count=int(count)))
