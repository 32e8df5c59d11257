"""The servers of this run: each is started when the first test asks for it, and ends with the run.

For tests and fixtures of any kind, and for processes that a test starts: those get addresses.
"""

from __future__ import annotations

import functools

from tests.servers.pgbouncer import PgBouncer, machine_pgbouncer
from tests.servers.place import Place
from tests.servers.postgres import Installation, Postgres, machine_installation, wheel_installation
from tests.servers.redis import Redis, RedisInstallation, machine_redis, wheel_valkey


@functools.cache
def place() -> Place:
    """Where they are."""
    return Place()


@functools.cache
def machine_postgres() -> Postgres:
    """PostgreSQL 15 on Debian 12."""
    return _postgres(machine_installation())


@functools.cache
def wheel_postgres() -> Postgres:
    """PostgreSQL 18."""
    return _postgres(wheel_installation())


@functools.cache
def redis() -> Redis:
    """Redis 7.0 on Debian 12."""
    return _redis(machine_redis())


@functools.cache
def valkey() -> Redis:
    """Valkey 9."""
    return _redis(wheel_valkey())


@functools.cache
def pgbouncer() -> PgBouncer:
    """In front of the machine's PostgreSQL."""
    started = PgBouncer(machine_pgbouncer(), place(), machine_postgres())
    started.start()
    return started


def names() -> list[str]:
    """What a run starts, with versions, or that it is missing; starts nothing."""
    found = {
        "PostgreSQL of the machine": machine_installation(),
        "PostgreSQL of the wheel": wheel_installation(),
        "Redis": machine_redis(),
        "Valkey": wheel_valkey(),
        "PgBouncer": machine_pgbouncer(),
    }
    return [f"{what} MISSING" if server is None else server.name for what, server in found.items()]


def _postgres(installation: Installation | None) -> Postgres:
    started = Postgres(installation, place())
    started.start()
    return started


def _redis(installation: RedisInstallation | None) -> Redis:
    started = Redis(installation, place())
    started.start()
    return started


def end_all() -> None:
    """Ends what was started; nothing where no test asked for a server."""
    if place.cache_info().currsize:
        place().close()
        place.cache_clear()
