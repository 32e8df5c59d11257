"""The box: the messages kept in memory, newest first, oldest dropped when it is full.

Used from one event loop only, so it needs no lock; readers in threads get tuples of messages, which
never change.
"""

from __future__ import annotations

from treadle.mailbox.message import Message, matches

MAX_MESSAGES = 1_000
"""More than a person looks through; at the usual few KiB the count is what limits, not the bytes."""
MAX_BYTES = 64 * 1024 * 1024
"""Of raw messages: little beside a development machine's memory, and room for several attachments of 10 MiB."""


class MessageTooLarge(Exception):
    """One message is larger than the whole box may be. Nothing was dropped for it."""


class Box:
    """A capped store of messages. ``count`` and ``used_bytes`` never exceed the caps."""

    def __init__(self, *, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        if max_messages < 1 or max_bytes < 1:
            raise ValueError("a box holds at least one message of one byte")
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.used_bytes = 0
        self.received_total = 0
        self.dropped_total = 0
        self._messages: dict[str, Message] = {}  # oldest first, as added

    @property
    def count(self) -> int:
        """How many messages are kept now."""
        return len(self._messages)

    def add(self, message: Message) -> None:
        """Keep ``message``; as many of the oldest as needed are dropped and counted.

        Raises ``MessageTooLarge`` where it alone exceeds ``max_bytes``.
        """
        if message.size_bytes > self.max_bytes:
            raise MessageTooLarge
        while self.count >= self.max_messages or self.used_bytes + message.size_bytes > self.max_bytes:
            self.delete(next(iter(self._messages)))
            self.dropped_total += 1
        self._messages[message.id] = message
        self.used_bytes += message.size_bytes
        self.received_total += 1

    def newest_first(self) -> tuple[Message, ...]:
        """All messages as they are now."""
        return tuple(reversed(self._messages.values()))

    def get(self, message_id: str) -> Message | None:
        """The message, or ``None`` where there is none of that id (any more)."""
        return self._messages.get(message_id)

    def delete(self, message_id: str) -> bool:
        """Whether there was such a message; it is gone now."""
        message = self._messages.pop(message_id, None)
        if message is None:
            return False
        self.used_bytes -= message.size_bytes
        return True

    def delete_all(self) -> int:
        """Empty the box; how many messages it held. What was deleted is not counted as dropped."""
        held = self.count
        self._messages.clear()
        self.used_bytes = 0
        return held


def search(messages: tuple[Message, ...], kind: str, query: str) -> tuple[Message, ...]:
    """Those that match (``message.matches``), in the same order. Slow for a full box: run it in a thread."""
    return tuple(message for message in messages if matches(message, kind, query))
