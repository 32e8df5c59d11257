"""``Isolation``: the bounds of a child process that runs one handler at a time."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_MEMORY_MB = 1024
MAX_MEMORY_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Isolation:
    """What a handler in a child process may use; as in ``@app.job("RENDER", isolate=Isolation(memory_mb=256))``.

    ``memory_mb``: data memory of the process (RLIMIT_DATA, on Linux): beyond it Python raises ``MemoryError``, which
    is an ordinary failure. ``cpu_seconds``: computing time of one attempt, beyond which the child is killed
    (RLIMIT_CPU) and the attempt fails as ``cpu_limit``; ``None`` leaves it to the job's timeout.
    """

    memory_mb: int = DEFAULT_MEMORY_MB
    cpu_seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that could never be meant."""
        memory = self.memory_mb
        if isinstance(memory, bool) or not isinstance(memory, int) or not 64 <= memory <= MAX_MEMORY_MB:
            raise ValueError(f"Isolation(memory_mb=...) must be a whole number from 64 to {MAX_MEMORY_MB}")
        if self.cpu_seconds is not None and not 0 < self.cpu_seconds <= 7 * 86_400:
            raise ValueError("Isolation(cpu_seconds=...) must be more than 0 and at most 604800, or None")
