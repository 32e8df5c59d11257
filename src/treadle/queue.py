"""Queues and priorities: the names of the lines that jobs wait in."""

from __future__ import annotations

import re
from enum import IntEnum

DEFAULT_QUEUE = "default"
RESERVED_QUEUES = frozenset({"high_priority"})
"""Would collide with the Redis list ``queue:high_priority`` of the default queue."""

QUEUE_NAME_RULE = "[a-z0-9][a-z0-9_-]{0,62}, and not high_priority"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Priority(IntEnum):
    """Lower runs first. The names are public, the numbers are what the stores sort by."""

    HIGH = 0
    DEFAULT = 1

    @property
    def label(self) -> str:
        """The public name: ``high`` or ``default``."""
        return _LABELS[self]


_LABELS = {priority: priority.name.lower() for priority in Priority}
PRIORITY_BY_LABEL: dict[str, Priority] = {p.label: p for p in Priority}


def is_queue_name(text: str) -> bool:
    """Whether ``text`` may name a queue."""
    return _NAME.fullmatch(text) is not None and text not in RESERVED_QUEUES
