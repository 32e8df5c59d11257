"""taskiq on a Redis stream: read in batches by a consumer group, acknowledged one by one."""

from __future__ import annotations

import asyncio
import sys
from importlib import metadata

sys.path.append(sys.path.pop(0))  # so that this file may bear the package's name

import uvloop
from contract import Peer, main, payload, redis_url, started, until_terminated
from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisStreamBroker

STREAM = GROUP = "taskiq"
READ_JOBS = 100
PREFETCH_JOBS = 100


def broker_with(connections: int) -> RedisStreamBroker:
    """A broker that knows the job. ``connections``: at most so many to Redis."""
    broker = RedisStreamBroker(
        redis_url(),
        queue_name=STREAM,
        consumer_group_name=GROUP,
        max_connection_pool_size=connections,
        xread_count=READ_JOBS,
    ).with_serializer(ORJSONSerializer())
    broker.register_task(noop, "noop")
    return broker


async def noop(n: int) -> None:
    """The job."""
    started()


class TaskiqPeer(Peer):
    name = "taskiq (stream)"
    package = "taskiq"
    store = "Redis"
    page = "https://taskiq-python.github.io/guide/cli.html"
    settings = {
        "broker": f"RedisStreamBroker of taskiq-redis {metadata.version('taskiq-redis')}",
        "xread_count": f"{READ_JOBS} (default)",
        "max_async_tasks": "as many as slots",
        "max_prefetch": PREFETCH_JOBS,
        "validate_params": False,
        "serializer": "ORJSONSerializer",
        "ack_type": "when_saved (default)",
        "loop": "uvloop, as its command line takes where it is installed",
        "client": "redis-py with hiredis",
    }
    history = "the message, in the stream until maxlen trims it (no maxlen here); no result without a result backend"
    after_kill = "claimed by another worker when idle for idle_timeout (10 min)"
    submits = ("one", "in_flight")
    loop_factory = uvloop.new_event_loop

    async def prepare(self) -> None:
        broker = broker_with(1)
        async with Redis(connection_pool=broker.connection_pool) as redis:
            await redis.flushdb()
        await broker.startup()  # makes the stream and its group
        await broker.shutdown()

    async def connect(self, in_flight: int) -> None:
        self.broker = broker_with(in_flight + 1)
        self.task = self.broker.find_task("noop")
        self.redis = Redis(connection_pool=self.broker.connection_pool)
        await self.redis.ping()

    async def close(self) -> None:
        await self.broker.shutdown()

    async def submit_one(self, number: int) -> None:
        await self.task.kiq(**payload(number))

    async def pending(self) -> int:
        (group,) = await self.redis.xinfo_groups(STREAM)
        return int(group["pending"]) + int(group["lag"])

    async def work(self, jobs: int, slots: int) -> None:
        broker = broker_with(slots + 2)
        working = asyncio.create_task(
            run_receiver_task(
                broker,
                max_async_tasks=slots,
                max_prefetch=PREFETCH_JOBS,
                validate_params=False,
                run_startup=True,
            )
        )
        await until_terminated()
        working.cancel()
        await asyncio.wait([working])
        await broker.shutdown()


if __name__ == "__main__":
    main(TaskiqPeer())
