"""What this process holds, and what a beat's answer means for it. Pure bookkeeping, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from treadle.ids import JobId
from treadle.store.protocol import HeldJob
from treadle.worker.attempt import Attempt


@dataclass(slots=True)
class Comparison:
    """What to do after a beat."""

    lost: list[Attempt] = field(default_factory=list)
    """Held here, no longer ours there: abort, drop the outcome."""
    cancelled: list[Attempt] = field(default_factory=list)
    """Somebody asked them to stop."""
    unheld: list[tuple[JobId, int]] = field(default_factory=list)
    """Ours there, not held here, and no claim is out that could still bring them: release."""
    is_clear: bool = True
    """Whether no row was unknown."""


class Holding:
    """The attempts in hand, and the claims whose answers are still out."""

    def __init__(self) -> None:
        self._held: dict[JobId, Attempt] = {}
        self._claims: set[int] = set()
        self._next_claim = 0
        self._suspects: dict[tuple[JobId, int], int] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def attempts(self) -> Sequence[Attempt]:
        """All that is held now."""
        return tuple(self._held.values())

    def begin_claim(self) -> int:
        """Note that a claim is being sent; its number."""
        number = self._next_claim
        self._next_claim += 1
        self._claims.add(number)
        return number

    def end_claim(self, number: int, attempts: Iterable[Attempt]) -> None:
        """The claim's answer came (or never will, with no attempts)."""
        self._held.update((attempt.id, attempt) for attempt in attempts)
        self._claims.discard(number)

    def drop(self, attempt: Attempt) -> None:
        """The attempt is settled, or lost."""
        if self._held.get(attempt.id) is attempt:
            del self._held[attempt.id]

    def clear(self) -> Sequence[Attempt]:
        """Let go of everything at once; what was held."""
        dropped = self.attempts
        self._held.clear()
        self._suspects.clear()
        return dropped

    @property
    def in_question(self) -> list[JobId]:
        """What a beat has to ask for, in order to hear of every loss and every cancel request."""
        return [job_id for job_id, attempt in self._held.items() if not attempt.is_settling]

    def compare(self, rows: Sequence[HeldJob], sent_at: float, *, is_whole: bool = True) -> Comparison:
        """Compare a beat's answer, sent at ``sent_at`` rising seconds, with what is held.

        ``is_whole``: the rows are all that point here; else those of what was ``in_question`` at ``sent_at``.

        The race that decides the rules: a claim or a settle may commit before the beat and answer after it. So
        an attempt taken since the beat was sent is not yet missed, one being settled hears its fate from the
        settle, and an unknown row is released only when it is still there at a later look at it and every claim
        that was out when it was first seen has ended.
        """
        told = Comparison()
        there = {row.job_id: row for row in rows}
        for attempt in self._held.values():
            row = there.get(attempt.id)
            if row is not None and row.attempt == attempt.job.attempt:
                if row.cancel_requested:
                    told.cancelled.append(attempt)
            elif attempt.claimed_at < sent_at and not attempt.is_settling:
                told.lost.append(attempt)
        # What was not asked for is as suspect as before.
        suspects = {} if is_whole else dict(self._suspects)
        oldest_claim = min(self._claims, default=self._next_claim)
        for row in rows:
            held = self._held.get(row.job_id)
            if held is not None and held.job.attempt >= row.attempt:
                continue
            name = (row.job_id, row.attempt)
            first_seen = self._suspects.get(name)
            if first_seen is None:
                suspects[name] = self._next_claim
            elif oldest_claim >= first_seen:
                told.unheld.append(name)
                suspects.pop(name, None)
            else:
                suspects[name] = first_seen
        self._suspects = suspects
        told.is_clear = not suspects and not told.unheld
        return told
