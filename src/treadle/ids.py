"""Identities: sortable job ids and random worker ids.

Job ids are UUIDv7 (RFC 9562), made by the process that submits, so that a commit whose answer was lost can be
sent again under the same id. Worker ids are random per process start, never a host name or a process id.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import NewType

import uuid_utils

JobId = NewType("JobId", str)
WorkerId = NewType("WorkerId", str)

# ASCII only: \d and int() would take digits of other scripts.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_job_id() -> JobId:
    """A fresh id; ids of one process rise strictly, ids of different processes by the millisecond."""
    return JobId(str(uuid_utils.uuid7()))


def new_worker_id() -> WorkerId:
    """A fresh random identity for one start of one worker process."""
    return WorkerId(str(uuid.uuid4()))


def parse_job_id(text: str) -> JobId | None:
    """The canonical (lower-case) id, or ``None`` where ``text`` is no UUID in its usual 36 characters."""
    lowered = text.lower()
    return JobId(lowered) if _UUID.fullmatch(lowered) else None


def created_at_of(job_id: JobId) -> datetime:
    """The moment inside a UUIDv7, with millisecond precision."""
    milliseconds = int(job_id[:8] + job_id[9:13], 16)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
