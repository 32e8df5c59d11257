"""An ASGI application on a bound socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from treadle.web.connection import HttpConnection

HTTP_GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 5


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: this process has more than one server to stop, in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(app: Any, listener: socket.socket) -> AsyncIterator[None]:
    """An HTTP server that accepts on entering and has answered what it began on leaving."""
    config = uvicorn.Config(
        app,
        http=HttpConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For would let a client choose the address its wrong passwords count for
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=HTTP_GRACE_SECONDS,
    )
    server = _HttpServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110  (uvicorn offers a flag, no event)
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await serving
