"""A database's address as people write it, and as it may be shown."""

from __future__ import annotations

import re

_PASSWORD_IN_LOGIN = re.compile(r"(?<=://)(?P<user>[^:/?#]*):(?:[^/?#]*)@")
_PASSWORD_IN_QUERY = re.compile(r"(?<=[?&])(?P<name>(?:ssl)?password)=[^&#]*", re.IGNORECASE)


def shown(address: str) -> str:
    """``address`` without its password, wherever that stands; it may even hold an @."""
    masked = _PASSWORD_IN_LOGIN.sub(r"\g<user>:•••@", address)
    return _PASSWORD_IN_QUERY.sub(r"\g<name>=•••", masked)
