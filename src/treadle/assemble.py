"""From settings to a ``Runtime``: the only module that names a backend."""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path

from treadle.artifacts.folder import ArtifactFolder
from treadle.clock import AnchoredClock
from treadle.dispatch.local import LocalDispatch, SilentDispatch
from treadle.errors import RegistrationError, SettingsError
from treadle.jobtype import Registry
from treadle.service.runtime import Runtime
from treadle.service.submit import known_queues
from treadle.settings import Settings
from treadle.store.protocol import Store
from treadle.store.sqlite.backup import back_up as sqlite_backup
from treadle.store.sqlite.store import SQLiteStore

VERSION = metadata.version("treadle")


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
        raise
    except RegistrationError as error:
        raise SettingsError([f"TREADLE_APP={reference}: {error}"]) from error
    app = getattr(module, attribute, None)
    if not isinstance(app, Registry):
        raise SettingsError(
            [f"TREADLE_APP={reference}: {module_name} has no Treadle object {attribute}; write app = Treadle() there"]
        )
    return app


def database_path(settings: Settings) -> Path:
    """Where the SQLite file is."""
    if settings.database_url is not None:
        return Path(settings.database_url.removeprefix("sqlite:///"))
    return settings.data_dir / "treadle.db"


@asynccontextmanager
async def inspect_store(settings: Settings) -> AsyncIterator[tuple[Store, AnchoredClock]]:
    """An existing store and its time, for whoever only looks: nothing is made or migrated; closed on leaving.

    Raises ``SettingsError`` where there is no database, ``StoreRefused`` (its schema is another release's),
    ``Unavailable``.
    """
    _refuse_missing(settings)
    store = SQLiteStore(database_path(settings))
    await store.open(migrate=False)
    try:
        clock = AnchoredClock()
        clock.set_anchor(await store.anchor())
        yield store, clock
    finally:
        await store.aclose()


def back_up(settings: Settings, target: Path, progress: Callable[[int, int], None]) -> int:
    """Copy the SQLite file to ``target`` and check the copy; its bytes. ``progress``: pages done, pages in all.

    Raises ``SettingsError`` where there is no SQLite file to copy, ``StoreRefused``, ``Unavailable``.
    """
    if not _is_file(settings):
        raise SettingsError(["DATABASE_URL: this copies SQLite files; for PostgreSQL use its own pg_dump"])
    _refuse_missing(settings)
    return sqlite_backup(database_path(settings), target, progress)


def _is_file(settings: Settings) -> bool:
    return settings.database_url is None or settings.database_url.startswith("sqlite:")


def _refuse_missing(settings: Settings) -> None:
    if _is_file(settings) and not database_path(settings).exists():
        raise SettingsError([f"there is no database at {database_path(settings)}; is this the right folder?"])


@asynccontextmanager
async def open_runtime(settings: Settings, registry: Registry, *, has_worker: bool) -> AsyncIterator[Runtime]:
    """A runtime on an open store, closed again on leaving.

    Raises ``SettingsError`` for a folder that cannot be written, ``StoreRefused``, ``Unavailable``.
    """
    artifacts = ArtifactFolder(settings.output_dir)
    try:
        artifacts.prepare()
    except OSError as error:
        raise SettingsError(
            [f"TREADLE_OUTPUT_DIR={settings.output_dir}: cannot be written ({error.strerror}); let this user write it"]
        ) from error
    store = SQLiteStore(database_path(settings))
    await store.open(migrate=settings.migrate == "on")
    dispatch = LocalDispatch(store.changes) if has_worker else SilentDispatch()
    try:
        clock = AnchoredClock()
        clock.set_anchor(await store.anchor())
        runtime = Runtime(store, dispatch, clock, settings, registry, artifacts)
        await store.declare_queues(sorted(known_queues(runtime)))
        yield runtime
    finally:
        await dispatch.aclose()
        await store.aclose()
