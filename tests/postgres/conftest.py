"""PostgreSQL stores on a database of the test's own, and a look into that database from beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest

from tests.builders import a_worker
from tests.servers import running
from tests.servers.postgres import Postgres
from treadle.ids import WorkerId
from treadle.store.postgres.store import PostgresStore
from treadle.testing import FaultProxy

NewStore = Callable[..., PostgresStore]
Beside = Callable[[], Awaitable[asyncpg.Connection]]


@pytest.fixture
def server() -> Postgres:
    """The machine's PostgreSQL; what a test does to it ends with the test."""
    return running.machine_postgres()


@pytest.fixture
def address(server: Postgres) -> Iterator[str]:
    """An empty database."""
    with server.database() as address:
        yield address


@pytest.fixture
async def new_store(address: str) -> AsyncIterator[NewStore]:
    """Makes stores, not open yet and closed with the test; on the test's database unless told otherwise."""
    made: list[PostgresStore] = []

    def make(at: str = address, **options: Any) -> PostgresStore:
        made.append(PostgresStore(at, **options))
        return made[-1]

    yield make
    for store in made:
        await store.aclose()


@pytest.fixture
async def store(new_store: NewStore) -> PostgresStore:
    """Open and migrated."""
    store = new_store()
    await store.open(migrate=True)
    return store


@pytest.fixture
async def worker_id(store: PostgresStore) -> WorkerId:
    """A worker whose lease lives."""
    worker = a_worker()
    await store.register_worker(worker)
    return worker.id


@pytest.fixture
async def beside(address: str) -> AsyncIterator[Beside]:
    """Opens plain connections to the database, as any other program would; statements commit themselves."""
    opened: list[asyncpg.Connection] = []

    async def connect() -> asyncpg.Connection:
        opened.append(await asyncpg.connect(address))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.terminate()


@pytest.fixture
async def proxy(server: Postgres) -> AsyncIterator[FaultProxy]:
    """Between a store and the server."""
    proxy = FaultProxy("127.0.0.1", server.port)
    await proxy.start()
    yield proxy
    await proxy.aclose()


@pytest.fixture
def behind_proxy(address: str, proxy: FaultProxy) -> str:
    """The test's database, by way of the proxy."""
    login, _, rest = address.partition("@")
    return f"{login}@127.0.0.1:{proxy.port}/{rest.partition('/')[2]}"
