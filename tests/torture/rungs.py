"""What a rung is to the fault run: settings, faults of its own, and a way to look into its database from beside it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import running
from tests.servers.ports import free_ports
from tests.servers.postgres import Installation, Postgres, machine_installation, wheel_installation
from tests.servers.redis import Redis, machine_redis
from tests.torture.fleet import LEASE_SECONDS
from tests.torture.stopping import Stop
from treadle.testing.proxy import FaultProxy

Strike = Callable[[float, Stop], Awaitable[None]]
"""Does one fault and heals it; ``chance`` (0 to 1) is what the plan left open. Raises ``Busy``."""


class Busy(Exception):
    """Another fault of the same server is not over. Queued up behind each other they would leave it no time to work."""


Query = Callable[[str], Sequence[tuple[Any, ...]]]


@dataclass(frozen=True)
class Rung:
    """One, with everything it needs running."""

    name: str
    settings: Mapping[str, str]
    query: Query
    """Blocking. Raises ``OSError`` where the database does not answer."""
    take_away: Callable[[float, Stop], Awaitable[None]]
    """The database is away for so many seconds: nobody can write."""
    attempt: str = "attempt"
    """How its table calls the number of starts."""
    faults: Mapping[str, Strike] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    """The faults, and how often each comes in a deck of the plan."""


@asynccontextmanager
async def _alone(busy: asyncio.Lock) -> AsyncIterator[None]:
    if busy.locked():
        raise Busy
    async with busy:
        yield


NewRung = Callable[[Path], AbstractAsyncContextManager[Rung]]


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Rung]:
    """The database is a file; what can happen to it is that somebody else holds its lock."""
    path = folder / "data" / "treadle.db"

    def query(sql: str) -> Sequence[tuple[Any, ...]]:
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            raise OSError(str(error)) from error

    busy = asyncio.Lock()

    async def hold(seconds: float, stop: Stop) -> None:
        async with _alone(busy):
            with closing(
                sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            ) as connection:
                await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
                await stop.within(seconds)
                connection.execute("ROLLBACK")

    faults: dict[str, Strike] = {"hold database": lambda chance, stop: hold(LEASE_SECONDS * (0.3 + 1.2 * chance), stop)}
    yield Rung("sqlite", {}, query, hold, faults=faults, kinds={"hold database": 1})


@asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[Rung]:
    """The oldest PostgreSQL, alone."""
    async with _database(machine_installation()) as database:
        yield database.rung("postgres")


@asynccontextmanager
async def newest_postgres(folder: Path) -> AsyncIterator[Rung]:
    """The newest PostgreSQL, alone."""
    async with _database(wheel_installation()) as database:
        yield database.rung("postgres")


def with_redis(name: str, without: NewRung) -> NewRung:
    """The same with Redis, of the oldest version, and its faults."""

    @asynccontextmanager
    async def both(folder: Path) -> AsyncIterator[Rung]:
        async with without(folder) as rung, _hints() as redis:
            settings = {**rung.settings, "REDIS_URL": f"redis://127.0.0.1:{redis.proxy.port}/0"}
            faults, kinds = {**rung.faults, **redis.faults}, {**rung.kinds, **_REDIS_KINDS}
            yield replace(rung, name=name, settings=settings, faults=faults, kinds=kinds)

    return both


def with_redis_off(name: str, without: NewRung) -> NewRung:
    """The same, where a Redis is named and never there."""

    @asynccontextmanager
    async def both(folder: Path) -> AsyncIterator[Rung]:
        (port,) = free_ports(1)
        async with without(folder) as rung:
            yield replace(rung, name=name, settings={**rung.settings, "REDIS_URL": f"redis://127.0.0.1:{port}/0"})

    return both


RUNGS: Mapping[str, NewRung] = {
    "sqlite": sqlite,
    "sqlite+redis": with_redis("sqlite+redis", sqlite),
    "postgres": postgres,
    "postgres+redis": with_redis("postgres+redis", newest_postgres),
    "redis-off": with_redis_off("redis-off", newest_postgres),
}
"""The three of the design, Redis on the first one too, and the third one without the Redis it was promised."""

_POSTGRES_KINDS = {
    "restart database": 2,
    "stop database": 1,
    "cut database": 2,
    "cut in database": 3,
    "silence database": 1,
}
_REDIS_KINDS = {"flush redis": 3, "kill redis": 2, "pause redis": 1, "cut redis": 1, "cut in redis": 2}


class _Database:
    """A cluster, and a proxy before it. One fault at a time: who restarts it must not meet who stops it."""

    def __init__(self, server: Postgres, proxy: FaultProxy, name: str) -> None:
        self._server = server
        self._proxy = proxy
        self._name = name
        self._busy = asyncio.Lock()

    def rung(self, name: str) -> Rung:
        settings = {"DATABASE_URL": f"postgresql://treadle@127.0.0.1:{self._proxy.port}/{self._name}"}
        faults: dict[str, Strike] = {
            "restart database": self._restart,
            "stop database": lambda chance, stop: self.take_away(LEASE_SECONDS * (1.1 + 0.6 * chance), stop),
            "cut database": self._cut,
            "cut in database": lambda chance, stop: _cut_in(self._proxy, chance, stop),
            "silence database": self._silence,
        }
        return Rung(name, settings, self._query, self.take_away, "attempts", faults, _POSTGRES_KINDS)

    async def take_away(self, seconds: float, stop: Stop) -> None:
        async with _alone(self._busy):
            await asyncio.to_thread(self._server.stop)
            await stop.within(seconds)
            await asyncio.to_thread(self._server.start)

    async def _restart(self, chance: float, stop: Stop) -> None:
        async with _alone(self._busy):
            await asyncio.to_thread(self._server.restart)

    async def _cut(self, chance: float, stop: Stop) -> None:
        self._proxy.cut()

    async def _silence(self, chance: float, stop: Stop) -> None:
        async with _alone(self._busy):
            self._proxy.silence()
            await stop.within(LEASE_SECONDS * (0.3 + chance))
            self._proxy.heal()

    def _query(self, sql: str) -> Sequence[tuple[Any, ...]]:
        address = self._server.address(self._name)
        try:
            with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
                return connection.execute(sql.encode()).fetchall()
        except psycopg.OperationalError as error:
            raise OSError(str(error)) from error


async def _cut_in(proxy: FaultProxy, chance: float, stop: Stop) -> None:
    """In the midst of what is said, one way or the other, and after any number of bytes of a new connection."""
    proxy.cut_after(int(chance * 4000), "up" if int(chance * 1000) % 2 else "down")
    await stop.within(1.0)
    proxy.cut()


@asynccontextmanager
async def _database(installation: Installation | None) -> AsyncIterator[_Database]:
    # Not the one that other tests share: this one is stopped at any moment.
    server = await asyncio.to_thread(Postgres, installation, running.place())
    await asyncio.to_thread(server.start)
    proxy = FaultProxy("127.0.0.1", server.port)
    await proxy.start()
    try:
        yield _Database(server, proxy, await asyncio.to_thread(server.new_database))
    finally:
        await proxy.aclose()
        await asyncio.to_thread(server.program.end)


class _Hints:
    """A Redis, and a proxy before it."""

    def __init__(self, server: Redis, proxy: FaultProxy) -> None:
        self._server = server
        self.proxy = proxy
        self._busy = asyncio.Lock()
        self.faults: dict[str, Strike] = {
            "flush redis": self._flush,
            "kill redis": self._kill,
            "pause redis": self._pause,
            "cut redis": self._cut,
            "cut in redis": lambda chance, stop: _cut_in(proxy, chance / 10, stop),
        }

    async def _flush(self, chance: float, stop: Stop) -> None:
        async with _alone(self._busy):
            await asyncio.to_thread(self._server.flush)

    async def _kill(self, chance: float, stop: Stop) -> None:
        """It comes back empty, at once or after some seconds."""
        async with _alone(self._busy):
            await asyncio.to_thread(self._server.program.kill)
            await stop.within(4 * chance)
            await asyncio.to_thread(self._server.start)

    async def _pause(self, chance: float, stop: Stop) -> None:
        async with _alone(self._busy):
            self._server.program.pause()
            await stop.within(LEASE_SECONDS * (0.5 + chance))
            self._server.program.resume()

    async def _cut(self, chance: float, stop: Stop) -> None:
        self.proxy.cut()


@asynccontextmanager
async def _hints() -> AsyncIterator[_Hints]:
    server = Redis(machine_redis(), running.place())
    await asyncio.to_thread(server.start)
    proxy = FaultProxy("127.0.0.1", server.port)
    await proxy.start()
    try:
        yield _Hints(server, proxy)
    finally:
        await proxy.aclose()
        await asyncio.to_thread(server.program.end)
