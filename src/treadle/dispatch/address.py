"""``REDIS_URL`` as redis-py's connections want it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    ConnectionPoolInterface,
    parse_url,
)

_OPTIONS = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
)
_PLACE = frozenset({"connection_class", "host", "port", "path", "db", "username", "password"})

MAX_CONNECTIONS = 16
"""A process uses three: one takes, one announces, one is looked at for health."""


class Address:
    """One server. Shown nowhere: it has a password in it."""

    def __init__(self, url: str) -> None:
        """Raises ``ValueError`` whose text says what is wrong and repeats nothing of ``url``."""
        try:
            parts = urlsplit(url)
            parsed: dict[str, Any] = dict(parse_url(url))
        except ValueError:
            raise ValueError("is no address; write special characters of a password as %XX") from None
        if parts.fragment:
            raise ValueError("holds a #; in a password it is written %23")
        if parts.scheme != "unix" and not (parts.path.strip("/") or "0").isdecimal():
            raise ValueError("names a database that is no number")
        unknown = parsed.keys() - _PLACE - _OPTIONS
        if unknown:
            raise ValueError(f"may only have the options {', '.join(sorted(_OPTIONS))}, and db")
        self._class: type[AbstractConnection] = parsed.pop("connection_class", Connection)
        self._options = parsed

    def new_pool(self) -> ConnectionPoolInterface:
        """Connections that try everything once.

        RESP2: with RESP3 a server may speak unasked, redis-py asks some to, and nothing here has a use for it. No
        time limits of the pool's own: ``Link`` has one for connecting, asking and reading together.
        """
        return BlockingConnectionPool(
            max_connections=MAX_CONNECTIONS,
            timeout=None,
            connection_class=self._class,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=None,
            **self._options,
        )
