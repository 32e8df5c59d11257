"""A TCP proxy with faults to order: cuts at an exact byte, silence one way or both, delay, refusal.

It stands between a process and a real server on loopback. What happens to bytes already on their way when a fault
begins is what happens on a network: they may arrive or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Literal

Way = Literal["up", "down"]
"""``up``: from the client to the server; ``down``: the answers."""

_CHUNK_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def _read(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> bytes:
    """The next bytes; a reset of one side is one of the other."""
    try:
        return await source.read(_CHUNK_BYTES)
    except OSError:
        _reset(sink)
        raise


@dataclass(eq=False)
class _Link:
    """One client's connection and the one made for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    passed_bytes: dict[Way, int] = field(default_factory=lambda: {"up": 0, "down": 0})

    def reset(self) -> None:
        """End both sides at once, unsent bytes lost: the peers see a reset, not an orderly end."""
        _reset(self.client)
        _reset(self.server)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


class FaultProxy:
    """Listens on a free loopback port and passes everything on to ``host:port`` until told otherwise.

    Every method and attribute is to be used on the loop that ran ``start``.
    """

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        """Where new connections go; may be changed at any time (a failover)."""
        self.delay_seconds = 0.0
        """Added to every chunk, each way."""
        self.port = 0
        self.accepted = 0
        """Connections accepted so far."""
        self._links: set[_Link] = set()
        self._newest: _Link | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._silent: dict[Way, bool] = {"up": False, "down": False}
        self._heard = asyncio.Event()
        self._heard.set()
        self._cut_after: dict[Way, int | None] = {"up": None, "down": None}

    async def start(self) -> None:
        """Listen, on the same port as before if it was refusing."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Reset every connection and refuse new ones, until ``start``."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def aclose(self) -> None:
        """Stop listening and end every connection."""
        self.heal()
        await self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection there is; new ones are let through."""
        for link in list(self._links):
            link.reset()

    def cut_after(self, passed_bytes: int, way: Way = "up") -> None:
        """Reset the next connection that has passed so many bytes ``way``; exactly these reach the other side."""
        self._cut_after[way] = passed_bytes

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._links)

    def passed_bytes(self, way: Way = "up") -> int:
        """How many bytes the newest connection has passed ``way``: what a cut in its next exchange counts from."""
        return 0 if self._newest is None else self._newest.passed_bytes[way]

    def silence(self, *ways: Way) -> None:
        """Pass nothing on ``ways`` (both by default), and leave the connections open: half-open for the peers."""
        for way in ways or ("up", "down"):
            self._silent[way] = True
        self._heard.clear()

    def heal(self) -> None:
        """Pass everything again, what was held back in silence included."""
        self._silent = {"up": False, "down": False}
        self._cut_after = {"up": None, "down": None}
        self.delay_seconds = 0.0
        self._heard.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            server_reader, server_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        self._newest = link
        flows = [
            asyncio.create_task(self._flow(reader, server_writer, link, "up")),
            asyncio.create_task(self._flow(server_reader, writer, link, "down")),
        ]
        for task in flows:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.wait(flows)
        self._links.discard(link)
        for end in (writer, server_writer):
            end.close()

    async def _flow(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: _Link, way: Way) -> None:
        with contextlib.suppress(OSError):
            while chunk := await _read(source, sink):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                while self._silent[way]:
                    await self._heard.wait()
                limit = self._cut_after[way]
                left = None if limit is None else limit - link.passed_bytes[way]
                if left is not None and len(chunk) >= left:
                    await self._cut_here(sink, chunk[: max(0, left)], link, way)
                    return
                link.passed_bytes[way] += len(chunk)
                sink.write(chunk)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()

    async def _cut_here(self, sink: asyncio.StreamWriter, last: bytes, link: _Link, way: Way) -> None:
        self._cut_after[way] = None
        if last:
            sink.write(last)
            await sink.drain()
        # The side that gets these bytes sees an orderly end, so that they surely arrive; the other one a reset.
        if sink.can_write_eof():
            sink.write_eof()
        _reset(link.client if way == "up" else link.server)
