"""Queued jobs, made at once, with their hints: what submissions of hours leave."""

from __future__ import annotations

import itertools
from pathlib import Path

import psycopg
import redis

from bench.servers import Ground

_INSERT = Path(__file__).with_name("backlog.sql").read_text(encoding="utf-8")
_IDS = "SELECT id::text FROM jobs WHERE status = 'queued' ORDER BY queued_at, id"
_LINE = "queue:default"
"""As in ``treadle.dispatch.lines``."""
_TOGETHER = 10_000


def queue_up(ground: Ground, jobs: int) -> None:
    """So many, in the queue ``default``. The tables must be there, and nothing in them be queued."""
    with psycopg.connect(ground.database_url) as connection, redis.Redis.from_url(ground.redis_url) as line:
        psycopg.ClientCursor(connection).execute(_INSERT, {"rows": jobs})
        connection.execute("INSERT INTO queues (name) VALUES ('default') ON CONFLICT DO NOTHING")
        with connection.cursor(name="ids") as ids:
            ids.itersize = _TOGETHER
            ids.execute(_IDS)
            while some := list(itertools.islice(ids, _TOGETHER)):
                line.rpush(_LINE, *(job_id for (job_id,) in some))
