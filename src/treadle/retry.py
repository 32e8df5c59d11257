"""Budgets and backoff: what becomes of an attempt that did not complete.

Two budgets that never mix: ``failures`` (the handler failed) and ``crashes`` (the process running it died).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from treadle.states import Verb

MAX_ATTEMPTS_LIMIT = 25
"""``maxAttempts`` may be 1 to this; with doubling backoff more would outlive every retention."""

DEFAULT_BASE_SECONDS = 2.0
DEFAULT_CAP_SECONDS = 600.0
MAX_SNOOZES = 1000
MAX_PAUSE_SECONDS = 366 * 86_400
"""As long as a snooze may be. A policy and a scale, each allowed, could pass what a datetime holds together."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt; stored in the job's row, so a reaper needs no user code."""

    base_seconds: float = DEFAULT_BASE_SECONDS
    cap_seconds: float = DEFAULT_CAP_SECONDS

    def delay_seconds(self, spent: int, chance: random.Random) -> float:
        """Seconds to wait after the ``spent``-th failure (from 1).

        Uniform between half and all of ``min(cap, base * 2**(spent - 1))``: a floor against hammering, a spread
        against herds ("equal jitter", AWS Architecture Blog, 2015).
        """
        full = min(self.cap_seconds, self.base_seconds * 2.0 ** min(max(spent, 1) - 1, 60))
        return full * chance.uniform(0.5, 1.0)

    def scaled(self, scale: float) -> Backoff:
        """Both waits, ``scale`` times as long."""
        if scale == 1.0 and self.base_seconds <= self.cap_seconds <= MAX_PAUSE_SECONDS:
            return self
        cap_seconds = min(self.cap_seconds * scale, MAX_PAUSE_SECONDS)
        return Backoff(min(self.base_seconds * scale, cap_seconds), cap_seconds)


@dataclass(frozen=True, slots=True)
class Retry:
    """A job type's policy.

    ``attempts``: failures after which the job is ``failed`` (1 to 25). ``crashes``: deaths of the worker after
    which it is ``dead`` as poison (1 to 25). The backoff doubles from ``base_seconds`` up to ``cap_seconds``;
    ``TREADLE_RETRY_BASE_SECONDS`` scales both for every type (2 leaves them as they are).
    """

    attempts: int = 3
    crashes: int = 3
    base_seconds: float = DEFAULT_BASE_SECONDS
    cap_seconds: float = DEFAULT_CAP_SECONDS

    def __post_init__(self) -> None:
        """Refuse numbers that could never be meant."""
        for name in ("attempts", "crashes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ATTEMPTS_LIMIT:
                raise ValueError(f"Retry({name}=...) must be a whole number from 1 to {MAX_ATTEMPTS_LIMIT}")
        if not 0 <= self.base_seconds <= self.cap_seconds <= 86_400:
            raise ValueError("Retry needs 0 <= base_seconds <= cap_seconds <= 86400")

    def backoff(self, *, scale: float = 1.0) -> Backoff:
        """The waiting part of the policy, scaled."""
        return Backoff(self.base_seconds, self.cap_seconds).scaled(scale)


def after_failure(failures: int, max_attempts: int, *, retryable: bool) -> Verb:
    """``retry`` while the budget lasts, else ``fail``. ``failures`` counts those before this one."""
    return Verb.RETRY if retryable and failures + 1 < max_attempts else Verb.FAIL


def after_crash(crashes: int, max_crashes: int) -> Verb:
    """``retry`` while the budget lasts, else ``bury``. ``crashes`` counts those before this one."""
    return Verb.RETRY if crashes + 1 < max_crashes else Verb.BURY
