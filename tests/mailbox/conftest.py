"""A mailbox that listens on a free port, and a browser-like client of its pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from treadle.mailbox.app import create_app
from treadle.mailbox.box import Box
from treadle.mailbox.server import Mailbox

Visit = Callable[[Box], httpx.AsyncClient]


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    """Started, on a port of the system's choosing."""
    running = Mailbox(smtp_port=0)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """Opens a client on a box's pages, as from the machine itself."""
    clients: list[httpx.AsyncClient] = []

    def open_client(box: Box) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=create_app(box))
        client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8025")
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        await client.aclose()
