"""Wrong passwords, counted by where they come from."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable

from treadle.web.problems import TOO_MANY_REQUESTS, Refused

MAX_WRONG_TRIES = 10
WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 10_000
"""About 2 MB; beyond it the address that has been quiet longest is forgotten."""


class Throttle:
    """Ten wrong tries, and an address has to wait for the rest of the minute, even with the right password.

    ``rising``: seconds that never fall.
    """

    def __init__(self, rising: Callable[[], float]) -> None:
        self._rising = rising
        self._tries: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tries)

    def check(self, address: str) -> None:
        """Raises ``Refused`` (429) where ``address`` has no tries left."""
        began, wrong = self._tries.get(_network(address), (0.0, 0))
        left = began + WINDOW_SECONDS - self._rising()
        if wrong >= MAX_WRONG_TRIES and left > 0:
            seconds = str(math.ceil(left))
            raise Refused(TOO_MANY_REQUESTS, "too many wrong passwords from this address", {"Retry-After": seconds})

    def wrong(self, address: str) -> None:
        """Count one wrong try."""
        network = _network(address)
        now = self._rising()
        began, wrong = self._tries.get(network, (now, 0))
        self._tries[network] = (began, wrong + 1) if now - began < WINDOW_SECONDS else (now, 1)
        self._tries.move_to_end(network)
        if len(self._tries) > MAX_ADDRESSES:
            self._tries.popitem(last=False)


def _network(address: str) -> str:
    """Who is counted as one: an IPv4 address, or the /64 that every owner of one IPv6 address has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), 64), strict=False))
