"""The lists in Redis: what they are called, and which of their entries can be hints.

=============================  ======  ==========================================================
key (after the prefix)         type    content
=============================  ======  ==========================================================
``queue:high_priority``        list    ids of ready ``high`` jobs of the queue ``default``, oldest first
``queue:default``              list    ids of its ready ``default`` jobs
``queue:NAME:high_priority``   list    the same of the queue ``NAME``
``queue:NAME``                 list
``queue:``                     none    never made, as no queue has an empty name, nor ``queue::high_priority``:
                                       commands on them prove that Redis takes such commands
=============================  ======  ==========================================================

No lifetime: entries leave when they are taken. Anybody may write anything there, and delete it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from treadle.ids import JobId, parse_job_id
from treadle.queue import DEFAULT_QUEUE, Priority

_ID_CHARACTERS = 36


def line_name(queue: str, priority: Priority) -> str:
    """The list's key, without the prefix."""
    if priority is Priority.DEFAULT:
        return f"queue:{queue}"
    return "queue:high_priority" if queue == DEFAULT_QUEUE else f"queue:{queue}:high_priority"


PROBE_LINES = (line_name("", Priority.DEFAULT), line_name("", Priority.HIGH))


def lines_in_turn(queues: Sequence[str], turn: int) -> list[str]:
    """The lists to take from, first things first: every ``high`` one before every ``default`` one, queues rotated."""
    if not queues:
        return []
    start = turn % len(queues)
    rotated = [*queues[start:], *queues[:start]]
    return [line_name(queue, priority) for priority in Priority for queue in rotated]


def hints_of(entries: Iterable[bytes]) -> list[JobId]:
    """The entries that are ids as we write them. Others never get further: neither to a log nor to SQL."""
    return [job_id for entry in entries if (job_id := _hint_of(entry)) is not None]


def _hint_of(entry: bytes) -> JobId | None:
    if len(entry) != _ID_CHARACTERS or not entry.isascii():
        return None
    text = entry.decode("ascii")
    job_id = parse_job_id(text)
    return job_id if job_id == text else None
