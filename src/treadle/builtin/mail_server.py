"""``MailServer``: where ``EMAIL_SEND`` delivers, from whom, how safely and how patiently."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class MailServer:
    """Settings of ``EMAIL_SEND``, checked where they are read.

    ``sender``: one plain ASCII address, of every message and of every envelope. ``security``: ``starttls`` and ``tls``
    verify the server's certificate against ``host``, with the system's authorities unless ``tls_context`` says
    otherwise; both refuse to go on without encryption.
    """

    host: str
    port: int
    sender: str
    security: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)
    connect_seconds: float = 10.0
    command_seconds: float = 60.0
    final_dot_seconds: float = 600.0
    """RFC 5321 4.5.3.2.6: a client that gives up earlier sends second copies."""
    idle_seconds: float = 30.0
    """How long a connection waits for the next message; servers allow 300 (RFC 5321 4.5.3.2.7), not all of them."""
    max_connections: int = 10
    """Common servers take 20 to 50 from one client."""

    @property
    def where(self) -> str:
        """``host:port`` for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
