"""Check: whether what must always be true is true now. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from treadle.settings import Settings
from treadle.store.invariants import INVARIANTS
from treadle.store.protocol import Store

MAX_SUBJECTS = 100
LEAST_SLACK = timedelta(seconds=5)
"""For a store that was busy; a duty that is later than this and than its own interval is not running."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant, and the subjects that violate it, at most ``MAX_SUBJECTS``: none where it holds."""

    name: str
    meaning: str
    subjects: Sequence[str]


async def check(store: Store, settings: Settings, now: datetime) -> list[Finding]:
    """All invariants in their order, each with what violates it."""
    violations: Mapping[str, Sequence[str]] = await store.check(tuple(INVARIANTS), now - slack(settings), MAX_SUBJECTS)
    return [Finding(name, meaning, violations.get(name, ())) for name, meaning in INVARIANTS.items()]


def slack(settings: Settings) -> timedelta:
    """How late the duties may be: a lease and two sweeps until a dead worker's jobs are taken back."""
    taking_back = timedelta(seconds=settings.lease_seconds + 2 * settings.sweep_seconds)
    return LEAST_SLACK + max(taking_back, timedelta(seconds=2 * settings.reconcile_seconds))
