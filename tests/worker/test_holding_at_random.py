"""``Holding.compare`` over random interleavings of claims, settles and beats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.attempts import an_attempt
from treadle.ids import JobId, new_job_id
from treadle.store.protocol import HeldJob
from treadle.testing import ManualClock
from treadle.worker.attempt import Attempt
from treadle.worker.holding import Holding

JOBS = 4


@dataclass
class Row:
    """One job as the store has it."""

    id: JobId
    attempt: int = 0
    is_ours: bool = False
    """``processing``, and it points to this worker."""
    is_done: bool = False
    cancel_requested: bool = False


@dataclass
class Claim:
    number: int
    committed: list[tuple[Row, int]]
    was_sent_to_store: bool = False


@dataclass
class Settle:
    attempt: Attempt
    was_applied: bool = False


class World:
    """One store, one worker; every message has a sending, an effect and an answer, and any of them may come late."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.holding = Holding()
        self.rows = [Row(new_job_id()) for _ in range(JOBS)]
        self.claims: list[Claim] = []
        self.lost_claims: list[Claim] = []
        self.settles: list[Settle] = []
        self.running: list[Attempt] = []
        self.dying: list[Attempt] = []
        """Told that they are lost, and not gone yet: a handler may be stubborn."""
        self.beat_sent_at: float | None = None
        self.beat_asked: list[JobId] | None = None
        """What the beat asks for; ``None``: for everything."""
        self.beat_rows: list[HeldJob] | None = None
        self.released: set[tuple[JobId, int]] = set()
        self.steps: list[Callable[[int], None]] = [
            self.send_claim,
            self.apply_claim,
            self.answer_claim,
            self.lose_claim,
            self.apply_lost_claim,
            self.send_settle,
            self.apply_settle,
            self.answer_settle,
            self.send_beat,
            self.apply_beat,
            self.answer_beat,
            self.beat,
            self.beat,
            self.read_beat,
            self.claim,
            self.take_away,
            self.request_cancel,
            self.end_dying,
        ]

    def row(self, job_id: JobId) -> Row:
        return next(row for row in self.rows if row.id == job_id)

    # ------------------------------------------------------------------------------ claims

    def send_claim(self, pick: int) -> None:
        if not self.claims:  # as the runner does it: one after the other
            self.claims.append(Claim(self.holding.begin_claim(), []))

    def apply_claim(self, pick: int) -> None:
        waiting = [claim for claim in self.claims if not claim.was_sent_to_store]
        if waiting:
            self._apply(waiting[pick % len(waiting)], pick)

    def _apply(self, claim: Claim, pick: int) -> None:
        claim.was_sent_to_store = True
        ready = [row for row in self.rows if not row.is_ours and not row.is_done]
        for row in ready[: 1 + pick % 2]:
            row.attempt += 1
            row.is_ours = True
            claim.committed.append((row, row.attempt))

    def answer_claim(self, pick: int) -> None:
        answered = [claim for claim in self.claims if claim.was_sent_to_store]
        if not answered:
            return
        claim = answered[pick % len(answered)]
        self.claims.remove(claim)
        attempts = [an_attempt(self.clock, id=row.id, attempt=attempt) for row, attempt in claim.committed]
        for attempt in attempts:
            assert (attempt.id, attempt.job.attempt) not in self.released, "given away, and started all the same"
        self.holding.end_claim(claim.number, attempts)
        self.running += attempts

    def lose_claim(self, pick: int) -> None:
        """The connection is cut; what was sent may still be applied."""
        if self.claims:
            claim = self.claims.pop(pick % len(self.claims))
            self.holding.end_claim(claim.number, [])
            if not claim.was_sent_to_store:
                self.lost_claims.append(claim)

    def apply_lost_claim(self, pick: int) -> None:
        if self.lost_claims:
            self._apply(self.lost_claims.pop(), pick)

    # ----------------------------------------------------------------------------- settles

    def send_settle(self, pick: int) -> None:
        if self.running:
            attempt = self.running.pop(pick % len(self.running))
            attempt.is_settling = True
            self.settles.append(Settle(attempt))

    def apply_settle(self, pick: int) -> None:
        for settle in self.settles[:1]:
            row = self.row(settle.attempt.id)
            if row.is_ours and row.attempt == settle.attempt.job.attempt:
                row.is_ours = False
                row.is_done = pick % 2 == 0  # else it is queued again
                row.cancel_requested = False
            settle.was_applied = True

    def answer_settle(self, pick: int) -> None:
        for settle in [settle for settle in self.settles if settle.was_applied][:1]:
            self.settles.remove(settle)
            self.holding.drop(settle.attempt)

    # ------------------------------------------------------------------------------- beats

    def send_beat(self, pick: int) -> None:
        if self.beat_sent_at is None:
            self.beat_sent_at = self.clock.rising()
            self.beat_asked = self.holding.in_question if pick % 3 else None

    def apply_beat(self, pick: int) -> None:
        if self.beat_sent_at is not None and self.beat_rows is None:
            asked = self.beat_asked
            rows = [row for row in self.rows if row.is_ours and (asked is None or row.id in asked)]
            self.beat_rows = [HeldJob(row.id, row.attempt, row.cancel_requested) for row in rows]

    def answer_beat(self, pick: int) -> None:
        if self.beat_sent_at is None or self.beat_rows is None:
            return
        told = self.holding.compare(self.beat_rows, self.beat_sent_at, is_whole=self.beat_asked is None)
        self.beat_sent_at = self.beat_rows = None
        out = {(row.id, attempt) for claim in self.claims for row, attempt in claim.committed}
        held = {(attempt.id, attempt.job.attempt) for attempt in self.holding.attempts}
        running = {(attempt.id, attempt.job.attempt) for attempt in self.running}
        for name in told.unheld:
            assert name not in out, "released while its claim is still to be answered"
            assert name not in held | running, "released while it runs"
            self.released.add(name)
            row = self.row(name[0])
            if row.is_ours and row.attempt == name[1]:
                row.is_ours = False
        for attempt in told.lost:
            row = self.row(attempt.id)
            assert not (row.is_ours and row.attempt == attempt.job.attempt), "aborted although it is ours"
            assert all(attempt is not settle.attempt for settle in self.settles), "the settle would have told it"
            if attempt in self.running:
                self.running.remove(attempt)
                self.dying.append(attempt)
        for attempt in told.cancelled:
            assert (attempt.id, attempt.job.attempt) in held

    # ------------------------------------------------------------------------------ others

    def take_away(self, pick: int) -> None:
        """Somebody else ends an attempt of ours."""
        row = self.rows[pick % JOBS]
        row.is_ours = False

    def request_cancel(self, pick: int) -> None:
        row = self.rows[pick % JOBS]
        row.cancel_requested = row.is_ours

    def end_dying(self, pick: int) -> None:
        """A handler that was told to stop has stopped."""
        if self.dying:
            self.holding.drop(self.dying.pop(pick % len(self.dying)))

    def claim(self, pick: int) -> None:
        """A claim that nothing comes in between of."""
        for step in (self.send_claim, self.apply_claim, self.answer_claim):
            step(pick)

    def read_beat(self, pick: int) -> None:
        """A beat that is answered later."""
        self.send_beat(pick)
        self.apply_beat(pick)

    def beat(self, pick: int) -> None:
        for step in (self.answer_beat, self.send_beat, self.apply_beat, self.answer_beat):
            step(pick)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 17), st.integers(0, 11)), min_size=100, max_size=140))
async def test_whatever_overlaps_nothing_is_given_away_while_it_runs_and_nothing_is_kept_for_ever(
    script: list[tuple[int, int]],
) -> None:
    world = World()

    for step, pick in script:
        world.clock.advance(0.01)
        world.steps[step](pick)

    # Then the faults end: answers that are out are lost, settles come through, and beats go on.
    while world.claims:
        world.lose_claim(0)
    while world.lost_claims:
        world.apply_lost_claim(1)
    while world.settles:
        world.apply_settle(0)
        world.answer_settle(0)
    for _ in range(3):
        world.clock.advance(0.01)
        world.beat(0)

    ours = {(row.id, row.attempt) for row in world.rows if row.is_ours}
    held = [attempt for attempt in world.holding.attempts if attempt not in world.dying]
    assert ours == {(attempt.id, attempt.job.attempt) for attempt in held}
