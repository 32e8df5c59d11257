"""``Connection``: one keep-alive HTTP/1.1 connection over a plain socket; costs the machine next to nothing."""

from __future__ import annotations

import socket
from typing import NamedTuple, Self


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Connection:
    """To a port of this machine, one request at a time. Raises ``OSError`` where it breaks."""

    def __init__(self, port: int, timeout_seconds: float = 60.0) -> None:
        self._host = f"127.0.0.1:{port}"
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._socket.close()

    def post(self, path: str, body: bytes) -> Answer:
        """Send JSON, and wait for the whole answer."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        return self._exchange(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def get(self, path: str) -> Answer:
        """Wait for the whole answer."""
        return self._exchange(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def _exchange(self, request: bytes) -> Answer:
        self._socket.sendall(request)
        line = self._reader.readline()
        if not line:
            raise ConnectionResetError("the server closed the connection")
        status = int(line.split()[1])
        length = 0
        while (line := self._reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return Answer(status, self._reader.read(length))
