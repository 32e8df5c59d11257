"""Treadle: a background job server. Everything public is a name in this module."""

from treadle.app import Treadle
from treadle.context import Job
from treadle.errors import (
    Conflict,
    InvalidInput,
    LeaseLost,
    NotFound,
    Overloaded,
    Problem,
    RegistrationError,
    SettingsError,
    TreadleError,
    Unavailable,
)
from treadle.isolation import Isolation
from treadle.outcome import NonRetryable, Park, Snooze
from treadle.retry import Retry

__version__ = "0.1.0"

__all__ = [
    "Conflict",
    "InvalidInput",
    "Isolation",
    "Job",
    "LeaseLost",
    "NonRetryable",
    "NotFound",
    "Overloaded",
    "Park",
    "Problem",
    "RegistrationError",
    "Retry",
    "SettingsError",
    "Snooze",
    "Treadle",
    "TreadleError",
    "Unavailable",
    "__version__",
]
