"""Free ports of the loopback device."""

from __future__ import annotations

import random
import socket

# Below the range from which Linux and macOS take the near end of outgoing connections: a server that is stopped and
# started again in a test must find its port free, and no client of a neighbouring run may have got it meanwhile.
_FIRST, _LAST = 20000, 32767


def free_ports(count: int) -> list[int]:
    """Ports nobody listened on a moment ago, all different."""
    probes: list[socket.socket] = []
    while len(probes) < count:
        try:
            probes.append(socket.create_server(("127.0.0.1", random.randint(_FIRST, _LAST))))
        except OSError:
            continue
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def free_port_settings() -> dict[str, str]:
    """Settings that put a server's listeners on free ports: somebody may use the usual ones."""
    names = ("API_PORT", "TREADLE_MAILBOX_SMTP_PORT", "TREADLE_MAILBOX_PORT")
    return dict(zip(names, map(str, free_ports(len(names))), strict=True))
