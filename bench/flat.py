"""Whether Treadle stays as fast and as small as it begins: with history, over many jobs, in several processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import psycopg

from bench.connection import Connection
from bench.history import fill
from bench.marks import read_starts, wait_until
from bench.meter import usage_of
from bench.program import ProgramFailed
from bench.sample import Sample
from bench.scene import Scene, Step
from bench.servers import Ground
from bench.side import SLOTS, About
from bench.treadle_side import noops, submit_batches
from bench.verdict import TREADLE, Bar, Better, Verdict, figures, median_of, ratios

_TIMED = ("drain", "one by one")
_PAGES = {
    "list": "/admin/jobs?limit=50",
    "list_completed": "/admin/jobs?status=completed&limit=50",
    "by_id": "/admin/jobs/{id}",
    "stats": "/admin/stats",
}
_LOOKS = 20
"""Requests for each page; the slowest counts, the first one too."""

_SHAPES = (1, 2, 4)
"""Worker processes that share the slots."""

_PARTS = 10
"""Into which many jobs are divided; memory is read after each."""

_FLAT = Bar(0.9)
_PAGE = Bar(50.0, Better.LESS)
_GROWTH = Bar(1.1, Better.LESS)
"""Of memory, from the first tenth of the jobs to the most that was seen later. Our own reading of "flat"."""
_FALLS = Bar(1.0)

Take = Callable[[Scene, Ground], dict[str, float]]


class Flat:
    """Every pair here is Treadle beside itself."""

    name = "flat"
    title = "Flat: with history, over many jobs, in several processes"

    def __init__(self) -> None:
        self._database: str | None = None

    def steps(self, scene: Scene) -> list[Step]:
        """See ``Contest``. The large table is made once a run, when it is first needed."""
        found = []
        for what, take in zip(_TIMED, (_drain, _one_by_one), strict=True):
            found.append(Step(what, "empty", partial(_on_empty, scene, take)))
            found.append(Step(what, "history", partial(self._on_history, scene, take)))
        found.append(Step("pages", "history", partial(self._on_history, scene, _pages)))
        found.append(Step("memory", TREADLE, partial(_on_empty, scene, _memory)))
        found += [Step("processes", _shape(n), partial(_on_empty, scene, partial(_drain_by, n))) for n in _SHAPES]
        return found

    def verdicts(self, samples: Sequence[Sample], abouts: Mapping[str, About]) -> list[Verdict]:
        """See ``Contest``."""
        rows = next((sample.values["rows"] for sample in samples if "rows" in sample.values), 0)
        history = f"{rows / 1e6:g} M finished rows"
        found = [_beside(samples, what, f"{what}, {history}", "history", "empty", _FLAT) for what in _TIMED]
        for page in _PAGES:
            values = figures(samples, f"{page}_ms", "pages", "history")
            against = f"page {page.replace('_', ' ')}, {history}, slowest of {_LOOKS}"
            found.append(Verdict(self.name, against, "ms", values, _PAGE))
        for process in ("worker", "api"):
            values = figures(samples, f"{process}_growth", "memory", TREADLE)
            mib = median_of(figures(samples, f"{process}_mib", "memory", TREADLE))
            found.append(Verdict(self.name, f"memory of the {process}", "×", values, _GROWTH, mib, figure_unit="MiB"))
        for n in _SHAPES[1:]:
            found.append(_beside(samples, "processes", f"drain by {_shape(n)} slots", _shape(n), _shape(1), _FALLS))
        return found

    def _on_history(self, scene: Scene, take: Take) -> dict[str, float]:
        if self._database is None:
            self._database = _make_history(scene)
        with scene.servers.ground_on(self._database) as ground:
            try:
                return {**take(scene, ground), "rows": scene.effort.history_rows}
            finally:
                _take_away_queued(ground)


def _beside(samples: Sequence[Sample], pair: str, name: str, above: str, below: str, bar: Bar) -> Verdict:
    rate = "jobs_per_second"
    ours, theirs = (median_of(figures(samples, rate, pair, side)) for side in (above, below))
    return Verdict(Flat.name, name, "×", ratios(samples, rate, pair, above, below), bar, ours, theirs, "jobs/s")


def _on_empty(scene: Scene, take: Take) -> dict[str, float]:
    with scene.servers.ground() as ground:
        return take(scene, ground)


def _make_history(scene: Scene) -> str:
    """The name of a database with as many finished jobs as the run wants."""
    name = scene.servers.new_database()
    with scene.servers.ground_on(name) as ground:
        with scene.treadle.api(ground):
            pass  # it made the tables
        fill(ground, scene.effort.history_rows)
    return name


def _take_away_queued(ground: Ground) -> None:
    """What was submitted here and not run: the next round's drain would run it too, and count it to nobody."""
    with psycopg.connect(ground.database_url, autocommit=True) as connection:
        if connection.execute("DELETE FROM jobs WHERE status = 'queued'").rowcount:
            connection.execute("VACUUM (ANALYZE) jobs")


def _drain(scene: Scene, ground: Ground) -> dict[str, float]:
    return scene.treadle.drain(ground, scene.effort.jobs)


def _drain_by(processes: int, scene: Scene, ground: Ground) -> dict[str, float]:
    return scene.treadle.drain(ground, scene.effort.jobs, processes)


def _shape(processes: int) -> str:
    return f"{processes}×{SLOTS // processes}"


def _one_by_one(scene: Scene, ground: Ground) -> dict[str, float]:
    return scene.treadle.submit_for(ground, scene.effort.one_seconds)


def _pages(scene: Scene, ground: Ground) -> dict[str, float]:
    """Milliseconds of the slowest look at each page."""
    with psycopg.connect(ground.database_url) as connection:
        row = connection.execute("SELECT id FROM jobs WHERE status = 'completed' LIMIT 1").fetchone()
    old = str(row[0]) if row else ""
    found: dict[str, float] = {}
    with scene.treadle.api(ground) as port, Connection(port) as connection_to_api:
        for page, path in _PAGES.items():
            looks = []
            for _ in range(_LOOKS):
                begun_at = time.monotonic()
                answer = connection_to_api.get(path.replace("{id}", old))
                looks.append((time.monotonic() - begun_at) * 1000)
                if answer.status != 200:
                    raise ProgramFailed(f"GET {path}: {answer.status}")
            found[f"{page}_ms"] = max(looks)
    return found


def _memory(scene: Scene, ground: Ground) -> dict[str, float]:
    """Of both processes after each tenth of the jobs, while they run."""
    part = scene.effort.memory_jobs // _PARTS
    seen: dict[str, list[float]] = {"worker": [], "api": []}
    with scene.treadle.api_process(ground) as (port, api), scene.treadle.worker(ground) as worker:
        for number in range(1, _PARTS + 1):
            submit_batches(port, noops(part))
            wait_until(
                lambda jobs=number * part: read_starts(ground.folder).jobs >= jobs,  # type: ignore[misc]
                within_seconds=scene.treadle.limit_seconds,
                what=f"the start of {number * part} jobs",
            )
            for process, pid in (("worker", worker.pid), ("api", api.pid)):
                seen[process].append(usage_of(pid).rss_bytes / 2**20)
    found: dict[str, float] = {}
    for process, mib in seen.items():
        found |= {f"{process}_mib": max(mib), f"{process}_growth": max(mib[1:]) / mib[0]}
        found |= {f"{process}_mib_after_{number}_of_{_PARTS}": value for number, value in enumerate(mib, start=1)}
    return found
