"""Treadle: a background job server. Everything public is a name in this module."""

from typing import TYPE_CHECKING, Any

from treadle.app import Treadle
from treadle.context import Job
from treadle.errors import (
    Conflict,
    InvalidInput,
    KeyReused,
    LeaseLost,
    NotFinished,
    NotFound,
    Overloaded,
    Problem,
    RegistrationError,
    SettingsError,
    TreadleError,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from treadle.isolation import Isolation
from treadle.outcome import NonRetryable, Park, Snooze
from treadle.retry import Retry
from treadle.states import Status
from treadle.wire import JobDraft

if TYPE_CHECKING:
    from treadle.client import AsyncClient, Client

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "InvalidInput",
    "Isolation",
    "Job",
    "JobDraft",
    "KeyReused",
    "LeaseLost",
    "NonRetryable",
    "NotFinished",
    "NotFound",
    "Overloaded",
    "Park",
    "Problem",
    "RegistrationError",
    "Retry",
    "SettingsError",
    "Snooze",
    "Status",
    "Treadle",
    "TreadleError",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """The clients, when somebody first asks for one: no server needs them, and they bring httpx with them."""
    if name in ("AsyncClient", "Client"):
        from treadle import client

        return getattr(client, name)
    raise AttributeError(f"module 'treadle' has no attribute {name!r}")
