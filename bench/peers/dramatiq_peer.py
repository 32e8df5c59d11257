"""Dramatiq: messages in a Redis hash, fetched in batches by one thread and run by others."""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # so that this file may bear the package's name

import dramatiq
from contract import Peer, main, payload, redis_url, started, until_terminated
from dramatiq.brokers.redis import RedisBroker

THREADS = 8
PREFETCH = 1_000
"""Messages a fetch. The default of two a thread asks Redis far too often when a job takes no time."""

broker = RedisBroker(url=redis_url())
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(n: int) -> None:
    """The job."""
    started()


class DramatiqPeer(Peer):
    name = "Dramatiq"
    package = "dramatiq"
    store = "Redis"
    page = "https://dramatiq.io/changelog.html"
    settings = {
        "processes": 1,
        "threads": f"{THREADS} (default)",
        "middleware": "default",
        "dramatiq_queue_prefetch": PREFETCH,
        "client": "redis-py with hiredis",
    }
    history = "nothing: acknowledged messages are deleted, and results are not stored by default"
    after_kill = "put back by another worker's maintenance, a minute after the last heartbeat at the earliest"
    submits = ("one",)

    async def prepare(self) -> None:
        broker.client.flushdb()

    async def connect(self, in_flight: int) -> None:
        broker.client.ping()

    async def submit_one(self, number: int) -> None:
        noop.send(**payload(number))

    async def pending(self) -> int:
        return int(broker.client.hlen(f"{broker.namespace}:{noop.queue_name}.msgs"))

    async def work(self, jobs: int, slots: int) -> None:
        dramatiq.worker.QUEUE_PREFETCH = PREFETCH  # read from dramatiq_queue_prefetch, at the import
        worker = dramatiq.Worker(broker, worker_threads=min(slots, THREADS))
        worker.start()
        await until_terminated()
        worker.stop()


if __name__ == "__main__":
    main(DramatiqPeer())
