"""A PgBouncer of the run's own, in transaction mode in front of a cluster."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.servers.place import Place, as_nobody
from tests.servers.ports import free_ports
from tests.servers.postgres import Postgres
from tests.servers.program import MissingServer, Program


@dataclass(frozen=True)
class PgBouncerInstallation:
    """Its program."""

    binary: Path

    @functools.cached_property
    def version(self) -> str:
        """As in ``1.18.0``."""
        said = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"PgBouncer (\S+)", said.stdout)
        assert found, said.stdout
        return found.group(1)

    @property
    def name(self) -> str:
        return f"PgBouncer {self.version} (machine)"


@functools.cache
def machine_pgbouncer() -> PgBouncerInstallation | None:
    """The machine's own. Debian keeps it where ordinary users' PATH does not look."""
    found = shutil.which("pgbouncer", path=os.pathsep.join([os.defpath, "/usr/sbin", "/usr/local/sbin"]))
    found = found or shutil.which("pgbouncer")
    return PgBouncerInstallation(Path(found)) if found else None


class PgBouncer:
    """One in front of every database of a cluster."""

    def __init__(self, installation: PgBouncerInstallation | None, place: Place, postgres: Postgres) -> None:
        if installation is None:
            raise MissingServer("The tests need PgBouncer; `make test` installs it, or says how.")
        self.installation = installation
        (self.port,) = free_ports(1)
        folder = place.new_folder("pgbouncer")
        # Of what can be set, only what makes it run here: its defaults are what people have.
        (folder / "pgbouncer.ini").write_text(f"""\
[databases]
* = host=127.0.0.1 port={postgres.port} user=treadle

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
stats_users = treadle
""")
        self.program = Program(place, folder, [str(installation.binary), "pgbouncer.ini"], user=as_nobody())

    def start(self) -> None:
        """Until it answers."""
        self.program.start(self._answers)

    @property
    def version(self) -> str:
        """What the running one says it is."""
        with psycopg.connect(self.address("pgbouncer"), autocommit=True, connect_timeout=10) as connection:
            row = psycopg.ClientCursor(connection).execute("SHOW VERSION").fetchone()  # its console wants plain text
        assert row is not None
        return str(row[0]).split()[-1]

    def address(self, database: str) -> str:
        """Of a database behind it."""
        return f"postgresql://treadle@127.0.0.1:{self.port}/{database}"

    def in_front_of(self, address: str) -> str:
        """The same database as at the cluster's address."""
        return self.address(address.rpartition("/")[2])

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.address("postgres"), connect_timeout=10):
                return True
        except psycopg.OperationalError:
            return False
