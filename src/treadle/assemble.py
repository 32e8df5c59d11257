"""From settings to a ``Runtime``: the only module that names a backend.

A backend's module is imported when it is chosen: the drivers of all of them together cost a process ten megabytes.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import metadata
from pathlib import Path

import msgspec

from treadle.artifacts.folder import ArtifactFolder
from treadle.artifacts.mending import how_to_mend, is_mounted_from_outside
from treadle.clock import AnchoredClock, rising_seconds
from treadle.dispatch.local import LocalDispatch, SilentDispatch
from treadle.dispatch.protocol import Dispatch
from treadle.errors import RegistrationError, SettingsError, StoreRefused, Unavailable
from treadle.jobtype import Registry
from treadle.service.publish import publish
from treadle.service.runtime import Runtime
from treadle.service.submit import known_queues
from treadle.settings import Settings
from treadle.store.engine import Engine
from treadle.store.observed import observed
from treadle.store.postgres.address import shown
from treadle.store.protocol import Store
from treadle.store.sqlite.backup import back_up as sqlite_backup
from treadle.store.sqlite.engine import read_engine as sqlite_engine
from treadle.store.sqlite.store import SQLiteStore
from treadle.store.sqlite.transfer import SQLiteSource
from treadle.store.transfer import Source, Target
from treadle.telemetry.metrics import Metrics

logger = logging.getLogger("treadle.assemble")

VERSION = metadata.version("treadle")
DATABASE_WAIT_SECONDS = 30.0
"""How long a process that starts before its database waits for it; Compose starts both at once."""
DATABASE_PAUSE_SECONDS = 0.5
ANCHOR_SECONDS = 60.0
"""How often the store is asked for the time anew: two machines' clocks drift apart by milliseconds in that."""


def load_apps(settings: Settings) -> list[Registry]:
    """The built-in app and the user's, if one is named. Raises ``SettingsError``, ``RegistrationError``."""
    # Loaded by name, exactly as a user's app is: the built-in types stand on the public interface alone.
    builtin = importlib.import_module("treadle.builtin")
    mail = builtin.MailServer(
        host=settings.mail_host,
        port=settings.mail_port,
        sender=settings.mail_from,
        security=settings.mail_security,
        username=settings.mail_username,
        password=settings.mail_password,
    )
    apps: list[Registry] = [builtin.create_app(mail)]
    if settings.app is not None:
        apps.append(_load_user_app(settings.app))
    return apps


def registry_of(apps: list[Registry]) -> Registry:
    """All job types of ``apps`` in one registry. Raises ``RegistrationError`` where two share a name."""
    registry = Registry()
    for app in apps:
        registry.include(app)
    return registry


def _load_user_app(reference: str) -> Registry:
    module_name, _, attribute = reference.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise SettingsError(
                [f"TREADLE_APP={reference}: there is no module {error.name}; is it beside where you start Treadle?"]
            ) from None
        raise SettingsError([f"TREADLE_APP={reference}: {_told(error)}"]) from error
    except RegistrationError as error:
        raise SettingsError([f"TREADLE_APP={reference}: {error}"]) from error
    except Exception as error:  # whatever stands in the module: a typing error of its author, most often
        raise SettingsError([f"TREADLE_APP={reference}: {_told(error)}"]) from error
    app = getattr(module, attribute, None)
    if not isinstance(app, Registry):
        raise SettingsError(
            [f"TREADLE_APP={reference}: {module_name} has no Treadle object {attribute}; write app = Treadle() there"]
        )
    return app


def _told(error: Exception) -> str:
    """What a module's own import raised and where, without the frames of ours and of importlib around its own."""
    frames = traceback.extract_tb(error.__traceback__)[2:]  # after this module's and import_module's
    way = [f"{frame.filename} line {frame.lineno}" for frame in frames if not frame.filename.startswith("<frozen")]
    return ", ".join([f"its import failed: {type(error).__name__}: {error}", *way[-3:]])


def database_name(settings: Settings) -> str:
    """Where jobs are kept, as it may be shown."""
    address = _postgres_address(settings)
    return str(_sqlite_path(settings)) if address is None else shown(address)


def _postgres_address(settings: Settings) -> str | None:
    url = settings.database_url
    return None if url is None or url.startswith("sqlite:") else url


def _sqlite_path(settings: Settings) -> Path:
    if settings.database_url is not None:
        return Path(settings.database_url.removeprefix("sqlite:///"))
    return settings.data_dir / "treadle.db"


def new_dispatch(settings: Settings, store: Store, metrics: Metrics, *, has_worker: bool) -> Dispatch:
    """How this process gives and gets hints. Redis is not waited for: it may come and go. Raises ``SettingsError``."""
    # PostgreSQL tells of nobody's commits. What other processes submit there is found by the worker's own scans, every
    # TREADLE_POLL_SECONDS while there is something to do; what this process submits wakes it at once.
    changes = store.changes if _postgres_address(settings) is None else None
    if settings.redis_url is None:
        return LocalDispatch(changes, metrics) if has_worker else SilentDispatch()
    from treadle.dispatch.redis import RedisDispatch

    try:
        dispatch = RedisDispatch(
            settings.redis_url,
            prefix=settings.redis_prefix,
            queue_names=store.queue_names,
            local=LocalDispatch(changes),
            metrics=metrics,
        )
    except ValueError as error:
        raise SettingsError([f"REDIS_URL {error}"]) from None
    dispatch.start()
    return dispatch


@asynccontextmanager
async def open_runtime(settings: Settings, registry: Registry, *, has_worker: bool) -> AsyncIterator[Runtime]:
    """A runtime on an open store, closed again on leaving.

    Raises ``SettingsError`` for a folder that cannot be written, ``StoreRefused``, ``Unavailable``.
    """
    artifacts = ArtifactFolder(settings.output_dir)
    try:
        artifacts.prepare()
    except OSError as error:
        outside = is_mounted_from_outside(settings.output_dir)
        words = how_to_mend(settings.output_dir, error, outside=outside)
        raise SettingsError([f"TREADLE_OUTPUT_DIR={settings.output_dir}: {sentence}" for sentence in words]) from error
    metrics = Metrics()
    store = observed(await open_store(settings, metrics), metrics)
    try:
        dispatch = new_dispatch(settings, store, metrics, has_worker=has_worker)
    except BaseException:
        await store.aclose()
        raise
    keeping_time: asyncio.Task[None] | None = None
    try:
        clock = AnchoredClock()
        clock.set_anchor(await store.anchor())
        keeping_time = asyncio.create_task(_keep_time(store, clock))
        runtime = Runtime(store, dispatch, clock, settings, registry, artifacts, metrics)
        metrics.info.replace({_info(settings): 1})
        await store.declare_queues(sorted(known_queues(runtime)))
        await publish(runtime)
        yield runtime
    finally:
        if keeping_time is not None:
            keeping_time.cancel()
        await dispatch.aclose()
        await store.aclose()


def _info(settings: Settings) -> tuple[str, str, str]:
    store = "sqlite" if _postgres_address(settings) is None else "postgres"
    return VERSION, store, "local" if settings.redis_url is None else "redis"


@asynccontextmanager
async def open_move(settings: Settings, to: str) -> AsyncIterator[tuple[Source, Target]]:
    """The SQLite file of ``settings``, for this process alone, and the database ``to`` with its schema up to date.

    Raises ``StoreRefused``, ``Unavailable``.
    """
    if _postgres_address(settings) is not None:
        raise StoreRefused("DATABASE_URL names the source, and only a SQLite file can be moved: unset it, or name one")
    from treadle.store.postgres.transfer import open_target

    source = SQLiteSource(_sqlite_path(settings))
    source.open()
    try:
        await (await open_store(msgspec.structs.replace(settings, database_url=to, migrate="on"))).aclose()
        async with open_target(to, pgbouncer=settings.pgbouncer) as target:
            yield source, target
    finally:
        source.close()


async def open_store(settings: Settings, metrics: Metrics | None = None) -> Store:
    """The store of ``DATABASE_URL``, open; a server is waited for. Raises ``StoreRefused``, ``Unavailable``."""
    migrate = settings.migrate == "on"
    store = _new_store(settings, metrics)
    if isinstance(store, SQLiteStore):
        await store.open(migrate=migrate)
        return store
    give_up_at = rising_seconds() + DATABASE_WAIT_SECONDS
    told = ""
    while True:
        try:
            await store.open(migrate=migrate)
            return store
        except Unavailable as error:
            if rising_seconds() >= give_up_at:
                raise
            if str(error) != told:
                told = str(error)
                logger.warning("waiting for the database, %g s at most: %s", DATABASE_WAIT_SECONDS, told)
        await asyncio.sleep(DATABASE_PAUSE_SECONDS)


@asynccontextmanager
async def inspect_store(settings: Settings) -> AsyncIterator[tuple[Store, AnchoredClock]]:
    """An existing store and its time, for whoever only looks: nothing is made, migrated or waited for.

    Closed on leaving. Raises ``SettingsError`` where there is no database, ``StoreRefused`` (its schema is another
    release's), ``Unavailable``.
    """
    store = _new_store(settings)
    if isinstance(store, SQLiteStore):
        _refuse_missing(settings)
    await store.open(migrate=False)
    try:
        clock = AnchoredClock()
        clock.set_anchor(await store.anchor())
        yield store, clock
    finally:
        await store.aclose()


def sqlite_file(settings: Settings) -> Path | None:
    """Where the SQLite file is, or would be; ``None`` where jobs are kept on a server."""
    return _sqlite_path(settings) if _postgres_address(settings) is None else None


async def read_engine(settings: Settings) -> Engine:
    """What the database is. Raises ``StoreRefused``, ``Unavailable``."""
    address = _postgres_address(settings)
    if address is None:
        return await sqlite_engine(_sqlite_path(settings))
    from treadle.store.postgres.engine import read_engine as postgres_engine

    return await postgres_engine(address, pgbouncer=settings.pgbouncer)


def _new_store(settings: Settings, metrics: Metrics | None = None) -> Store:
    address = _postgres_address(settings)
    if address is None:
        return SQLiteStore(_sqlite_path(settings))
    from treadle.store.postgres.store import PostgresStore

    return PostgresStore(address, pgbouncer=settings.pgbouncer, accept_loss=settings.accept_loss, metrics=metrics)


def back_up(settings: Settings, target: Path, progress: Callable[[int, int], None]) -> int:
    """Copy the SQLite file to ``target`` and check the copy; its bytes. ``progress``: pages done, pages in all.

    Raises ``SettingsError`` where there is no SQLite file to copy, ``StoreRefused``, ``Unavailable``.
    """
    if _postgres_address(settings) is not None:
        raise SettingsError(["DATABASE_URL: this copies SQLite files; for PostgreSQL use its own pg_dump"])
    _refuse_missing(settings)
    return sqlite_backup(_sqlite_path(settings), target, progress)


def _refuse_missing(settings: Settings) -> None:
    if not _sqlite_path(settings).exists():
        raise SettingsError([f"there is no database at {_sqlite_path(settings)}; is this the right folder?"])


async def _keep_time(store: Store, clock: AnchoredClock) -> None:
    while True:
        await asyncio.sleep(ANCHOR_SECONDS)
        with suppress(Unavailable):
            clock.set_anchor(await store.anchor())
