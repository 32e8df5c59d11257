"""``Metrics``: every figure Treadle tells of itself, by name. docs/metrics.md is generated from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from treadle.telemetry.meters import Counter, Gauge, Histogram, Meter, Reading

AnyMeter = TypeVar("AnyMeter", bound=Meter)

WAIT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
RUN_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
STORE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
HTTP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
BATCH_ITEMS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

SUBMITTED, CLAIMED, REQUEUED = "submitted", "claimed", "requeued"
OUTCOMES = (
    SUBMITTED, CLAIMED, "completed", "failed", "retried", "dead", "cancelled", "snoozed", "released", REQUEUED,
)  # fmt: skip


class Metrics:
    """One process's meters, handed to whoever has something to count."""

    def __init__(self) -> None:
        self._all: list[Meter] = []
        self._jobs()
        self._worker()
        self._store()
        self._hints()
        self._duties()
        self._http()
        self._standing()

    @property
    def all(self) -> Sequence[Meter]:
        """Every meter, in the order of the docs."""
        return tuple(self._all)

    def read(self) -> list[Reading]:
        """Every meter as it stands."""
        return [meter.read() for meter in self._all]

    # ---------------------------------------------------------------------------- what this process did

    def _jobs(self) -> None:
        self.jobs = self._counter(
            "treadle_jobs_total",
            f"jobs by what this process did to them: {', '.join(OUTCOMES)}",
            ("type", "queue", "outcome"),
        )
        self.wait_seconds = self._histogram(
            "treadle_job_wait_seconds", "from being ready in its line to being claimed", WAIT_SECONDS,
            ("queue", "priority"),
        )  # fmt: skip
        self.run_seconds = self._histogram(
            "treadle_job_run_seconds", "one attempt: the handler, and reading its payload", RUN_SECONDS, ("type",)
        )
        self.batch_items = self._histogram(
            "treadle_batch_items", "jobs that share a commit: submit, claim, settle", BATCH_ITEMS, ("verb",)
        )
        self.late = self._counter(
            "treadle_outcomes_late_total", "outcomes that were dropped, since the attempt was no longer this worker's"
        )

    def _worker(self) -> None:
        self.claims = self._counter(
            "treadle_claims_total",
            "claims, by what they went by (hints or a scan) and what came of them (jobs, empty, error)",
            ("by", "result"),
            [(by, result) for by in ("hints", "scan") for result in ("jobs", "empty", "error")],
        )
        self.takes = self._counter(
            "treadle_takes_total",
            "looks for hints, by what came of them (hints, empty, error)",
            ("result",),
            [("hints",), ("empty",), ("error",)],
        )
        self.leases_lost = self._counter(
            "treadle_leases_lost_total", "leases of this worker that others took for expired while it lived"
        )
        self.slots = self._gauge("treadle_slots", "attempts this worker runs at once at most")
        self.slots_used = self._gauge("treadle_slots_used", "attempts this worker runs now")
        self.slots_stuck = self._gauge(
            "treadle_slots_stuck", "handlers of this worker that outlived timeout and overrun; their threads are lost"
        )

    def _store(self) -> None:
        self.store_seconds = self._histogram(
            "treadle_store_seconds", "calls of the store, by method", STORE_SECONDS, ("call",)
        )
        self.store_errors = self._counter(
            "treadle_store_errors_total",
            "calls of the store that failed: unavailable, unknown (perhaps done), unstorable (bad data), other",
            ("call", "error"),
        )
        self.store_repeats = self._counter(
            "treadle_store_repeats_total",
            "statements sent again: after a commit whose outcome was unknown, or after a neighbour's lock",
            ("reason",),
            [("unknown",), ("neighbour",)],
        )

    def _hints(self) -> None:
        self.hints = self._counter(
            "treadle_hints_total",
            "hints: announced; dropped (reached nobody), refused (by Redis), garbage (entries that are no ids)",
            ("result",),
            [("announced",), ("dropped",), ("refused",), ("garbage",)],
        )

    def _duties(self) -> None:
        self.promoted = self._counter("treadle_promoted_total", "jobs that became due and entered their line")
        self.leases_ended = self._counter("treadle_leases_ended_total", "leases of silent workers that were ended")
        self.taken_back = self._counter("treadle_taken_back_total", "jobs that were taken back from ended leases")
        self.pruned = self._counter(
            "treadle_pruned_total",
            "jobs deleted since they were past their retention, by status",
            ("status",),
            [("completed",), ("failed",), ("dead",), ("cancelled",)],
        )
        self.duty_errors = self._counter(
            "treadle_duty_errors_total", "rounds of a duty that failed: outage, or bug", ("duty", "error")
        )

    def _http(self) -> None:
        self.requests = self._counter(
            "treadle_http_requests_total",
            "answers begun, by route (a template; other: none) and status",
            ("method", "route", "status"),
        )
        self.request_seconds = self._histogram(
            "treadle_http_request_seconds",
            "from a request to the beginning of its answer",
            HTTP_SECONDS,
            ("method", "route"),
        )

    # --------------------------------------------------------- how things stand, looked up for a scrape

    def _standing(self) -> None:
        self.info = self._gauge("treadle_info", "always 1", ("version", "store", "hints"))
        self.store_up = self._gauge("treadle_store_up", "1 where the store can be read and written, else 0")
        self.hints_up = self._gauge("treadle_hints_up", "1 where hints reach workers, else 0: work is found by scans")
        self.queue_jobs = self._gauge(
            "treadle_queue_jobs", "jobs that wait in a line, counted to 10,000", ("queue", "priority")
        )
        self.queue_oldest = self._gauge(
            "treadle_queue_oldest_seconds",
            "how long the first of a line has been waiting, 0 where nothing waits",
            ("queue", "priority"),
        )
        self.queue_paused = self._gauge("treadle_queue_paused", "1 where a queue is paused, else 0", ("queue",))
        self.stored = self._gauge("treadle_stored_jobs", "jobs by status, each counted to 10,000", ("status",))
        self.workers = self._gauge("treadle_workers", "workers with a lease, all processes together")
        self.worker_slots = self._gauge("treadle_workers_slots", "their slots")
        self.worker_used = self._gauge("treadle_workers_slots_used", "their slots in use, as of their last beats")
        self.disk_free = self._gauge(
            "treadle_disk_free_bytes", "free space where a folder of this process lies: data, output", ("folder",)
        )

    # ----------------------------------------------------------------------------------------- making them

    def _counter(
        self, name: str, meaning: str, labels: tuple[str, ...] = (), known: Sequence[tuple[str, ...]] = ()
    ) -> Counter:
        return self._added(Counter(name, meaning, labels, known))

    def _gauge(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
        return self._added(Gauge(name, meaning, labels))

    def _histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return self._added(Histogram(name, meaning, buckets, labels))

    def _added(self, meter: AnyMeter) -> AnyMeter:
        self._all.append(meter)
        return meter
