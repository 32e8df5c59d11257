"""SAQ: jobs as keys in Redis, their names moved between lists by blocking coroutines."""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # so that this file may bear the package's name

from typing import Any

from contract import Peer, main, payload, redis_url, started
from saq import Queue, Worker


async def noop(context: dict[str, Any], *, n: int) -> None:
    """The job."""
    started()


class SaqPeer(Peer):
    name = "SAQ"
    package = "saq"
    store = "Redis"
    page = "https://saq-py.readthedocs.io/en/latest/"
    settings = {
        "concurrency": "as many as slots",
        "max_concurrent_ops": "as many as are in flight",
        "ttl": "600 s (default)",
        "timeout": "10 s (default)",
        "client": "redis-py with hiredis",
    }
    history = "the job with its result, in Redis memory for 600 s"
    after_kill = "swept when its timeout is over, and aborted: run again only where retries were asked for"
    submits = ("one", "in_flight")

    async def prepare(self) -> None:
        queue = Queue.from_url(redis_url())
        await queue.redis.flushdb()
        await queue.disconnect()

    async def connect(self, in_flight: int) -> None:
        self.queue = Queue.from_url(redis_url(), max_concurrent_ops=in_flight)
        await self.queue.redis.ping()

    async def close(self) -> None:
        await self.queue.disconnect()

    async def submit_one(self, number: int) -> None:
        await self.queue.enqueue("noop", **payload(number))

    async def pending(self) -> int:
        return int(await self.queue.count("incomplete"))

    async def work(self, jobs: int, slots: int) -> None:
        queue = Queue.from_url(redis_url(), max_concurrent_ops=slots)
        await Worker(queue, [noop], concurrency=slots).start()
        await queue.disconnect()


if __name__ == "__main__":
    main(SaqPeer())
