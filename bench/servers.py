"""PostgreSQL and Redis for a run, and the empty ground that every sample starts on.

The programs are started as the tests start theirs (``tests/servers``): on free loopback ports, in a folder that goes
with the run, ended by their ids even where the run is killed. But on a real disk: flushing to it is what is measured.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.place import Place
from tests.servers.postgres import Postgres, machine_installation
from tests.servers.redis import Redis, machine_redis

POSTGRES_SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "fsync": "on",
    "synchronous_commit": "on",
}
"""Everything else as PostgreSQL ships it."""

# What the tests' servers have and a user's has not, back to what it is by default.
_AS_SHIPPED = {"max_connections": "100", "dynamic_shared_memory_type": "posix", "timezone": "UTC"}

REDIS_SETTINGS = {"save": "", "appendonly": "no"}


@dataclass(frozen=True)
class Ground:
    """One sample's own: an empty database, an empty Redis, an empty folder."""

    database_url: str
    """Of a superuser: some peers install extensions."""
    redis_url: str
    folder: Path
    server_pids: tuple[int, ...]
    """PostgreSQL's first process and Redis."""
    settle: Callable[[], None] = lambda: None
    """Write out what earlier work left in memory, so that what is timed next does not pay for it."""

    settle_loaded: Callable[[], None] = lambda: None
    """The same with jobs in the tables, and statistics of them, which PostgreSQL gathers by itself within a minute."""

    @property
    def environment(self) -> dict[str, str]:
        """For a program on it: the machine's own, none of this process's settings, and where everything is."""
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
        machine = {name: os.environ[name] for name in kept if name in os.environ}
        here = {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url, "BENCH_DIR": str(self.folder)}
        return {**machine, **here}


class Servers:
    """Both servers, running. Raises ``MissingServer`` where the machine has no programs for them."""

    def __init__(self, parent: Path, settings: Mapping[str, str] | None = None) -> None:
        """``settings``: of PostgreSQL, beyond those of every run."""
        parent.mkdir(parents=True, exist_ok=True)
        self.folder = _reachable(parent)
        self._place = Place(self.folder)
        self._count = 0
        configuration = {**_AS_SHIPPED, **POSTGRES_SETTINGS, **(settings or {})}
        self.postgres = Postgres(machine_installation(), self._place, configuration)
        self.redis = Redis(machine_redis(), self._place)
        self.postgres.start()
        self.redis.start()

    @contextmanager
    def ground(self) -> Iterator[Ground]:
        """A new one, gone afterwards."""
        name = self.new_database()
        try:
            with self.ground_on(name) as ground:
                yield ground
        finally:
            self.drop_database(name)

    @contextmanager
    def ground_on(self, database: str) -> Iterator[Ground]:
        """On a database that is there already, with what is in it."""
        self.redis.flush()
        folder = self._place.new_folder("bench")
        folder.chmod(0o755)
        try:
            yield Ground(
                f"postgresql://postgres@127.0.0.1:{self.postgres.port}/{database}",
                self.redis.address,
                folder,
                (self.postgres.program.pid, self.redis.program.pid),
                self._settle,
                lambda: self._settle_loaded(database),
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def new_database(self) -> str:
        """The name of one that is empty."""
        self._count += 1
        name = f"bench{self._count}"
        with self.postgres.admin() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Whoever is connected to it is thrown out."""
        with self.postgres.admin() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _settle(self) -> None:
        with self.postgres.admin() as connection:
            connection.execute("CHECKPOINT")

    def _settle_loaded(self, database: str) -> None:
        with self.postgres.admin(database) as connection:
            connection.execute("ANALYZE")
        self._settle()

    def close(self) -> None:
        """End both and remove their files."""
        self._place.close()


def _reachable(parent: Path) -> Path:
    """``parent``, or /var/tmp where the servers' user may not pass through ``parent``.

    A run by root starts PostgreSQL as ``nobody``, who may not enter a home folder. Not /tmp: it may be in memory.
    """
    if all(folder.stat().st_mode & 0o001 for folder in (parent, *parent.parents)):
        return parent
    return Path("/var/tmp")  # noqa: S108  (a folder of its own is made there)
