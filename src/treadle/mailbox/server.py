"""The mailbox as one thing that starts and stops: the box, its SMTP server, and its web application.

Whoever runs the process serves ``app`` over HTTP; here only SMTP listens.
"""

from __future__ import annotations

import asyncio
import socket

from starlette.applications import Starlette

from treadle.hostname import HostNames
from treadle.mailbox.app import API_URL, create_app
from treadle.mailbox.box import Box
from treadle.mailbox.smtp import Reception, start_smtp


class Mailbox:
    """A box with both its doors. Starts once, stops once; what it keeps is gone with it."""

    def __init__(
        self,
        *,
        smtp_socket: socket.socket | None = None,
        smtp_host: str = "127.0.0.1",
        smtp_port: int = 1025,
        host_names: HostNames | None = None,
        api_url: str = API_URL,
        box: Box | None = None,
    ) -> None:
        """``smtp_socket`` (bound) goes before host and port; ``host_names`` and ``api_url`` as in ``create_app``."""
        self.box = box if box is not None else Box()
        self.app: Starlette = create_app(self.box, host_names, api_url=api_url)
        self._socket = smtp_socket
        self._host = smtp_host
        self._port = smtp_port
        self._reception = Reception(self.box)
        self._server: asyncio.Server | None = None

    @property
    def smtp_port(self) -> int:
        """The port that is listened on; what was asked for until ``start``."""
        if self._server is None or not self._server.sockets:
            return self._port
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises ``OSError`` where the address is not to be had."""
        self._server = await start_smtp(
            self.box,
            sock=self._socket,
            host=self._host,
            port=self._port,
            reception=self._reception,
        )

    async def stop(self) -> None:
        """Stop listening and cut what is open. May be called twice, and without ``start``."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self._reception.dismiss()
        await server.wait_closed()
