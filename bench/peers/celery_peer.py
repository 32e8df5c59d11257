"""Celery: a Redis list, read by one process, which hands the jobs to two forked ones."""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # so that this file may bear the package's name

from collections.abc import Sequence

from celery import Celery, group
from contract import Peer, main, payload, redis_url, started
from redis import Redis

PROCESSES = 2
PREFETCH = 128

app = Celery("bench", broker=redis_url())
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=PREFETCH,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(n: int) -> None:
    """The job."""
    started()


class CeleryPeer(Peer):
    name = "Celery"
    package = "celery"
    store = "Redis"
    page = "https://docs.celeryq.dev/en/stable/userguide/optimizing.html"
    settings = {
        "pool": "prefork (default)",
        "concurrency": PROCESSES,
        "worker_prefetch_multiplier": PREFETCH,
        "task_ignore_result": True,
        "worker_disable_rate_limits": True,
        "task_acks_late": "False (default)",
        "command line": "--without-gossip --without-mingle --without-heartbeat",
        "bulk": "a group of signatures",
        "client": "redis-py with hiredis",
    }
    history = "nothing: acknowledged when it starts, results ignored; the last start ends the drain"
    after_kill = "running jobs are lost (early acknowledgement), fetched ones come back after visibility_timeout (1 h)"
    submits = ("one", "bulk")
    batch_jobs = 1_000
    last_start_counts = True

    async def prepare(self) -> None:
        with Redis.from_url(redis_url()) as redis:
            redis.flushdb()

    async def connect(self, in_flight: int) -> None:
        self.redis = Redis.from_url(redis_url())
        self.redis.ping()
        with app.producer_or_acquire() as producer:
            producer.connection.ensure_connection()

    async def submit_one(self, number: int) -> None:
        noop.delay(**payload(number))

    async def submit_many(self, numbers: Sequence[int]) -> None:
        group(noop.s(**payload(number)) for number in numbers).delay()

    async def pending(self) -> int:
        with self.redis.pipeline(transaction=False) as asking:
            waiting, in_hand = asking.llen("celery").hlen("unacked").execute()
        return int(waiting) + int(in_hand)

    def work(self, jobs: int, slots: int) -> None:
        app.worker_main(
            [
                "worker",
                f"--concurrency={PROCESSES}",
                "--loglevel=WARNING",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
            ]
        )


if __name__ == "__main__":
    main(CeleryPeer())
