"""Fixtures for every backend in ``tests.backends``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.backends import CANNOT, DISPATCHES, STORES, Changes
from tests.builders import NOW, a_worker
from treadle.dispatch.protocol import Dispatch
from treadle.ids import WorkerId
from treadle.store.invariants import STRUCTURE
from treadle.store.protocol import Store


@dataclass(frozen=True)
class Database:
    """One test's own database: which kind it is, and where."""

    backend: str
    address: str


AnotherStore = Callable[[], Awaitable[Store]]
NewDispatch = Callable[..., Dispatch]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(ability): not run on backends that CANNOT, see tests/backends.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        (left_out if _cannot(item) else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_report_collectionfinish() -> list[str]:
    backends = ", ".join((*STORES, *DISPATCHES))
    lacks = [
        f"  {name} has no {ability}: {why}" for name, lacking in CANNOT.items() for ability, why in lacking.items()
    ]
    return [f"conformance of: {backends}", *lacks]


def _cannot(item: pytest.Item) -> bool:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    backends = [parameters[name] for name in ("store_backend", "dispatch_backend") if name in parameters]
    needed = {mark.args[0] for mark in item.iter_markers("needs")}
    return any(needed & CANNOT.get(backend, {}).keys() for backend in backends)


@pytest.fixture
def now() -> datetime:
    """The moment at which a test takes place; stores read no clock."""
    return NOW


@pytest.fixture(params=STORES)
def store_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def database(store_backend: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A fresh one; nothing is in it, not even the schema."""
    async with STORES[store_backend].fresh(tmp_path) as address:
        yield Database(store_backend, address)


@pytest.fixture
async def another_store(database: Database) -> AsyncIterator[AnotherStore]:
    """Opens further stores on the test's database, as other processes would."""
    opened: list[Store] = []

    async def open_another() -> Store:
        store = STORES[database.backend].store(database.address)
        opened.append(store)
        await store.open(migrate=True)
        return store

    yield open_another
    if opened:
        watching = await open_another()  # the test may have closed its own
        assert await watching.check(tuple(STRUCTURE), NOW, 10) == {}, "an invariant is violated after the test"
    for store in opened:
        await store.aclose()


@pytest.fixture
async def store(another_store: AnotherStore) -> Store:
    """Open, migrated, empty."""
    return await another_store()


@pytest.fixture
async def worker_id(store: Store) -> WorkerId:
    """A worker whose lease lives."""
    worker = a_worker()
    await store.register_worker(worker)
    return worker.id


@pytest.fixture(params=DISPATCHES)
def dispatch_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def new_dispatch(dispatch_backend: str) -> AsyncIterator[NewDispatch]:
    """Makes dispatches that close with the test; ``changes`` tells of others' commits, where a test wants that."""
    made: list[Dispatch] = []

    def make(changes: Changes | None = None) -> Dispatch:
        made.append(DISPATCHES[dispatch_backend](changes))
        return made[-1]

    yield make
    for dispatch in made:
        await dispatch.aclose()


@pytest.fixture
def dispatch(new_dispatch: NewDispatch) -> Dispatch:
    return new_dispatch()
