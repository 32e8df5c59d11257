"""A store that counts how long its calls take and how they fail; all but ``changes``, asked twenty times a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, cast

from treadle.clock import rising_seconds
from treadle.errors import OutcomeUnknown, Unavailable, Unstorable
from treadle.store.protocol import Store
from treadle.telemetry.metrics import Metrics

CALLS = frozenset(name for name in vars(Store) if not name.startswith("_")) - {"open", "aclose", "changes"}


def observed(store: Store, metrics: Metrics) -> Store:
    """``store``, whose calls are counted in ``metrics``."""
    return cast("Store", _Observed(store, metrics))


class _Observed:
    def __init__(self, store: Store, metrics: Metrics) -> None:
        self.open, self.aclose, self.changes = store.open, store.aclose, store.changes
        self._metrics = metrics
        for call in CALLS:
            setattr(self, call, self._counted(call, getattr(store, call)))

    def _counted(self, call: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        seconds, errors = self._metrics.store_seconds, self._metrics.store_errors

        @wraps(method)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            began = rising_seconds()
            try:
                answer = await method(*args, **kwargs)
            except Exception as error:
                errors.add(1, call, _kind_of(error))
                raise
            seconds.observe(rising_seconds() - began, call)
            return answer

        return counted


def _kind_of(error: Exception) -> str:
    match error:
        case OutcomeUnknown():
            return "unknown"
        case Unavailable():
            return "unavailable"
        case Unstorable():
            return "unstorable"
        case _:
            return "other"
