"""Which names a server answers to: the one rule of every HTTP door against DNS rebinding.

A page on another site can have its own name resolve to this machine, and then read and write here as if it were
ours; only the Host field tells. Such a page has a name: a numeric address cannot be made to mean another machine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

ANY = "*"
HOST_NAME_RULE = f"host names without ports, or {ANY} for any"
HOW_TO_ALLOW = "add it to TREADLE_ALLOWED_HOSTS if it is this server's"

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252})", re.IGNORECASE)


def is_host_name(text: str) -> bool:
    """Whether ``text`` may be listed: a name without a port, or ``*``."""
    return text == ANY or _NAME.fullmatch(text) is not None


class HostNames:
    """``localhost``, numeric addresses, the name that is listened on, and ``listed``; with ``*`` there, anything."""

    def __init__(self, listens_on: str = "localhost", listed: Iterable[str] = ()) -> None:
        names = (listens_on, *listed) if is_host_name(listens_on) and listens_on != "0.0.0.0" else listed  # noqa: S104
        self._known: str | None = None
        """The last that was: most clients send the same, and to read an address takes as long as to route a request."""
        self._names = frozenset({"localhost", *(_bare(name) for name in names)})

    def have(self, host: str) -> bool:
        """Whether a request with this Host field is meant for us; its port, case and final dot do not count."""
        if host == self._known:
            return True
        name = _bare(host)
        is_ours = name in self._names or ANY in self._names or _is_address(name)
        if is_ours:
            self._known = host
        return is_ours


def _bare(host: str) -> str:
    name, colon, port = host.strip().lower().rpartition(":")
    if not colon or not (port == "" or (port.isascii() and port.isdigit())):
        name = host.strip().lower()
    return name.removesuffix(".")


def _is_address(name: str) -> bool:
    """Not 0.0.0.0 and [::]: some browsers let a public page reach this machine through them."""
    bracketed = re.fullmatch(r"\[(.+)\]", name)
    try:
        address = ipaddress.IPv6Address(bracketed[1]) if bracketed else ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return not address.is_unspecified
