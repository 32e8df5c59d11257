"""Listening sockets, bound before anything else starts: a port in use is one clear line, not a traceback."""

from __future__ import annotations

import errno
import socket

from treadle.errors import SettingsError

BACKLOG = 2048


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A bound, listening TCP socket. Raises ``SettingsError`` naming ``setting`` and what to do."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise SettingsError([f"{host}: cannot be listened on ({error.strerror or error})"]) from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                [f"{setting}={port}: something listens on {host}:{port} already; stop it, or set another {setting}"]
            ) from error
        raise SettingsError([f"{setting}={port}: cannot listen on {host}:{port} ({error.strerror})"]) from error
    listener.setblocking(False)
    return listener
