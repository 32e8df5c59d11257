"""Every backend there is, how a test gets a fresh one, and what it cannot do.

The only home of backends' names on the tests' side: a new one is one entry here, and the whole of
``tests/conformance`` runs on it.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import running
from tests.servers.postgres import Postgres, machine_installation, wheel_installation
from tests.servers.redis import Redis
from treadle.dispatch.local import LocalDispatch, SilentDispatch
from treadle.dispatch.protocol import Dispatch
from treadle.dispatch.redis import RedisDispatch
from treadle.store.postgres.store import PostgresStore
from treadle.store.protocol import Store
from treadle.store.sqlite.store import SQLiteStore

Changes = Callable[[], Awaitable[int]]


@dataclass(frozen=True)
class StoreBackend:
    """How tests reach one kind of store. A database is named by its address, which other processes understand too."""

    fresh: Callable[[Path], AbstractAsyncContextManager[str]]
    """An empty database for one test, which may use the folder; gone again on leaving."""
    store: Callable[[str], Store]
    """A store on the database at an address, not open yet."""


@asynccontextmanager
async def _sqlite_file(folder: Path) -> AsyncIterator[str]:
    yield str(folder / "treadle.db")


def _on_postgres(server: Callable[[], Postgres]) -> StoreBackend:
    @asynccontextmanager
    async def database(folder: Path) -> AsyncIterator[str]:
        with server().database() as address:
            yield address

    return StoreBackend(database, PostgresStore)


@asynccontextmanager
async def _database_behind_pgbouncer(folder: Path) -> AsyncIterator[str]:
    with running.machine_postgres().database() as address:
        yield running.pgbouncer().in_front_of(address)


def _redis_dispatch(server: Redis, changes: Changes | None) -> Dispatch:
    """On lists of its own: nothing is shared with other tests, and nothing has to be emptied."""
    return RedisDispatch(server.address, prefix=f"{uuid.uuid4()}:", local=LocalDispatch(changes))


# Named by what the machine has, 15 on Debian 12; where that is the wheel's major, both are one.
_MACHINE, _WHEEL = (
    f"postgres{installation.major}" if installation is not None else f"postgres-of-{origin}"
    for origin, installation in (("machine", machine_installation()), ("wheel", wheel_installation()))
)

STORES: dict[str, StoreBackend] = {
    "sqlite": StoreBackend(_sqlite_file, lambda address: SQLiteStore(Path(address))),
    _MACHINE: _on_postgres(running.machine_postgres),
    _WHEEL: _on_postgres(running.wheel_postgres),
    "pgbouncer": StoreBackend(_database_behind_pgbouncer, lambda address: PostgresStore(address, pgbouncer=True)),
}

DISPATCHES: dict[str, Callable[[Changes | None], Dispatch]] = {
    "local": LocalDispatch,
    "silent": lambda changes: SilentDispatch(),
    "redis": lambda changes: _redis_dispatch(running.redis(), changes),
    "valkey": lambda changes: _redis_dispatch(running.valkey(), changes),
}

CANNOT: dict[str, dict[str, str]] = {
    **dict.fromkeys((_MACHINE, _WHEEL, "pgbouncer"), {"changes": "no cheap number tells there; who waits scans"}),
    "silent": {
        "hints": "it is for a process without a worker: nobody there takes hints, so none are kept",
        "changes": "nobody there waits for work",
    },
    "redis": {"changes": "others tell it through Redis what they commit"},
    "valkey": {"changes": "others tell it through Valkey what they commit"},
}
"""Backend: ability: why it has none. Tests marked ``needs("ability")`` are not run on it; the report says so."""
