"""RQ: a hash in Redis for every job, run one after the other in the worker's own process."""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # so that this file may bear the package's name

from collections.abc import Sequence

from contract import Peer, main, payload, redis_url, started
from redis import Redis
from rq import Queue, SimpleWorker

NOOP = "__main__.noop"
"""By name, for the worker is this very program: RQ does not take a function of a program's own."""


def noop(n: int) -> None:
    """The job."""
    started()


class RqPeer(Peer):
    name = "RQ"
    package = "rq"
    store = "Redis"
    page = "https://python-rq.org/docs/workers/"
    settings = {
        "worker": "SimpleWorker: no fork a job",
        "result_ttl": "500 s (default)",
        "serializer": "pickle (default)",
        "bulk": "enqueue_many",
        "client": "redis-py with hiredis",
    }
    history = "the job's hash with its result, in Redis memory for 500 s"
    after_kill = "failed when a worker next cleans the registry, run again only where retries are left"
    submits = ("one", "bulk")
    batch_jobs = 1_000

    async def prepare(self) -> None:
        with Redis.from_url(redis_url()) as redis:
            redis.flushdb()

    async def connect(self, in_flight: int) -> None:
        self.redis = Redis.from_url(redis_url())
        self.queue = Queue(connection=self.redis)
        self.redis.ping()

    async def submit_one(self, number: int) -> None:
        self.queue.enqueue(NOOP, kwargs=payload(number))

    async def submit_many(self, numbers: Sequence[int]) -> None:
        self.queue.enqueue_many([Queue.prepare_data(NOOP, kwargs=payload(number)) for number in numbers])

    async def pending(self) -> int:
        with self.redis.pipeline(transaction=False) as asking:
            asking.llen(self.queue.key)
            asking.llen(self.queue.intermediate_queue_key)
            asking.zcard(self.queue.started_job_registry.key)
            return sum(asking.execute())

    def work(self, jobs: int, slots: int) -> None:
        redis = Redis.from_url(redis_url())
        SimpleWorker([Queue(connection=redis)], connection=redis).work(logging_level="WARNING")


if __name__ == "__main__":
    main(RqPeer())
