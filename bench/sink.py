"""A bare SMTP sink: takes everything and keeps nothing, so that what is measured is the sender. A program of its own.

Prints ``{"port": …}`` when it listens, and marks each message in ``$BENCH_DIR`` as handlers mark their starts.
"""

from __future__ import annotations

import asyncio
import json

from bench.peers.contract import started


class Session(asyncio.Protocol):
    """One connection. Pipelined commands are answered in order."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (for the type)
        self._transport = transport
        self._data = b""
        self._is_message = False
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._data += data
        while self._take():
            pass

    def _take(self) -> bool:
        """One message or one command, if it is whole."""
        what, end, rest = self._data.partition(b"\r\n.\r\n" if self._is_message else b"\r\n")
        if not end:
            return False
        self._data = rest
        if self._is_message:
            self._is_message = False
            started()
            self._transport.write(b"250 kept\r\n")
        else:
            self._command(what[:4].upper())
        return True

    def _command(self, verb: bytes) -> None:
        if verb == b"EHLO":
            self._transport.write(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
        elif verb == b"DATA":
            self._is_message = True
            self._transport.write(b"354 go on\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 ok\r\n")


async def serve() -> None:
    """Until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Session, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
