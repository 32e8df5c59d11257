"""Huey: a Redis list that threads pop from; the job is gone from Redis when it starts."""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # so that this file may bear the package's name

from contract import Peer, main, payload, redis_url, started
from huey import RedisHuey

THREADS = 8
"""Without work to wait for, more threads only contend for one interpreter."""

huey = RedisHuey("bench", url=redis_url(), blocking=True)


@huey.task()
def noop(n: int) -> None:
    """The job."""
    started()


class HueyPeer(Peer):
    name = "Huey"
    package = "huey"
    store = "Redis"
    page = "https://huey.readthedocs.io/en/latest/consumer.html"
    settings = {
        "worker_type": "thread (default)",
        "workers": THREADS,
        "blocking": True,
        "store_none": "False (default)",
        "periodic": False,
        "client": "redis-py with hiredis",
    }
    history = "nothing: popped before it starts, and a result of None is not stored; the last start ends the drain"
    after_kill = "lost: the job left Redis when it was popped"
    submits = ("one",)
    last_start_counts = True

    async def prepare(self) -> None:
        huey.flush()

    async def connect(self, in_flight: int) -> None:
        huey.storage.conn.ping()

    async def submit_one(self, number: int) -> None:
        noop(**payload(number))

    async def pending(self) -> int:
        return int(huey.pending_count())

    def work(self, jobs: int, slots: int) -> None:
        huey.create_consumer(workers=min(slots, THREADS), periodic=False).run()


if __name__ == "__main__":
    main(HueyPeer())
