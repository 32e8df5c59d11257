"""``Runtime``: what every verb works on, passed explicitly; no globals, no container."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime

from treadle.artifacts.folder import ArtifactFolder
from treadle.clock import Clock
from treadle.dispatch.protocol import Dispatch
from treadle.jobtype import Registry
from treadle.service.catalogue import Catalogue
from treadle.settings import Settings
from treadle.store.protocol import Store
from treadle.telemetry.metrics import Metrics


@dataclass(slots=True)
class Runtime:
    """One process's hold on the store, the hints, the time, and what it was told."""

    store: Store
    dispatch: Dispatch
    clock: Clock
    settings: Settings
    registry: Registry
    artifacts: ArtifactFolder
    metrics: Metrics = field(default_factory=Metrics)
    chance: random.Random = field(default_factory=random.SystemRandom)
    catalogue: Catalogue = field(init=False)
    began_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Look in the store and at the clock that are here then: tests put others in their place."""
        self.catalogue = Catalogue(self.registry, lambda: self.store.types(), lambda: self.clock.rising())
        self.began_at = self.clock.now()

    @property
    def backoff_scale(self) -> float:
        """What ``TREADLE_RETRY_BASE_SECONDS`` makes of every type's backoff; 2 leaves it as it is."""
        return self.settings.retry_base_seconds / 2.0
