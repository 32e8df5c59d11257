"""Lists of jobs: the filters and the cursor that addresses carry, alike in JSON and on pages."""

from __future__ import annotations

import base64
import binascii

from treadle.ids import JobId, parse_job_id
from treadle.job import MAX_TYPE_LENGTH
from treadle.queue import PRIORITY_BY_LABEL, QUEUE_NAME_RULE, Priority, is_queue_name
from treadle.web.query import Query


def read_type(query: Query) -> str | None:
    """The parameter ``type``."""
    name = query.text("type")
    if name is not None and not (0 < len(name) <= MAX_TYPE_LENGTH and "\0" not in name):
        query.refuse("type", "length", f"expected 1 to {MAX_TYPE_LENGTH} characters")
        return None
    return name


def read_queue(query: Query) -> str | None:
    """The parameter ``queue``."""
    name = query.text("queue")
    if name is not None and not is_queue_name(name):
        query.refuse("queue", "pattern", f"expected {QUEUE_NAME_RULE}")
        return None
    return name


def read_priority(query: Query) -> Priority | None:
    """The parameter ``priority``."""
    label = query.one_of("priority", PRIORITY_BY_LABEL)
    return PRIORITY_BY_LABEL[label] if label is not None else None


def read_cursor(query: Query) -> JobId | None:
    """The parameter ``cursor``: what ``cursor_text`` made."""
    cursor = query.text("cursor")
    if cursor is None:
        return None
    try:
        job_id = parse_job_id(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode("ascii"))
    except (binascii.Error, UnicodeError):
        job_id = None
    if job_id is None:
        query.refuse("cursor", "cursor", "expected the nextCursor of an earlier page")
    return job_id


def cursor_text(job_id: JobId | None) -> str | None:
    """Opaque, so that nobody builds one: what it holds may change with any release."""
    return None if job_id is None else base64.urlsafe_b64encode(job_id.encode()).decode()
