"""A peer's program is driven by the contract; what it does wrong is told, and nothing of it is left."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.marks import LAYOUT, Starts, read_starts, wait_until
from bench.meter import usage_of
from bench.peer import Peer
from bench.program import ProgramFailed, running
from bench.run import run
from bench.sample import Log, Sample
from bench.scene import QUICK, Scene, Step
from bench.servers import Ground
from bench.side import About, percentile
from tests.servers.guard import runs

STUB = [sys.executable, str(Path(__file__).with_name("stub_peer.py"))]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground("postgresql://nowhere", "redis://nowhere", tmp_path, (os.getpid(),))


@pytest.fixture
def peer() -> Peer:
    return Peer("stub", STUB, limit_seconds=20)


def test_a_drain_runs_from_the_first_start_to_the_last_commit(peer: Peer, ground: Ground) -> None:
    values = peer.drain(ground, 500)
    assert values["jobs_per_second"] == pytest.approx(500 / values["seconds"])
    assert 0 < values["seconds"] < 2
    assert values["rss_mib"] > 5
    assert read_starts(ground.folder).jobs == 500


def test_a_submission_is_timed_by_the_peer_itself(peer: Peer, ground: Ground) -> None:
    assert peer.submit(ground, "bulk", 100) == {"jobs_per_second": 200, "seconds": 0.5, "jobs": 100}


def test_pings_give_latencies(peer: Peer, ground: Ground) -> None:
    values = peer.ping(ground, 20)
    assert values["pings"] == 20
    assert 0 < values["p50_ms"] <= values["p99_ms"] <= values["max_ms"]


def test_what_a_peer_says_when_it_fails_is_told(peer: Peer, ground: Ground) -> None:
    with pytest.raises(ProgramFailed, match="13 brings bad luck"):
        peer.submit(ground, "bulk", 13)


def test_a_worker_is_gone_when_its_block_is_over(ground: Ground) -> None:
    with running([*STUB, "work", "--jobs", "0"], ground.environment, ground.folder / "log") as worker:
        wait_until(lambda: usage_of(worker.pid).rss_bytes > 0, within_seconds=5, what="its memory")
    assert worker.process.returncode is not None
    assert usage_of(worker.pid).rss_bytes == 0


def test_a_program_that_does_not_answer_is_not_waited_for_for_ever(ground: Ground) -> None:
    with (
        running([*STUB, "work", "--jobs", "0"], ground.environment, ground.folder / "log") as worker,
        pytest.raises(ProgramFailed, match="no answer within"),
    ):
        worker.line(0.2)


def test_starts_of_several_processes_count_together(ground: Ground) -> None:
    assert read_starts(ground.folder) == Starts(0, 0.0, 0.0)
    (ground.folder / "starts-1").write_bytes(LAYOUT.pack(3, 10.0, 20.0))
    (ground.folder / "starts-2").write_bytes(LAYOUT.pack(4, 9.0, 19.0))
    (ground.folder / "starts-3").write_bytes(b"half")
    assert read_starts(ground.folder) == Starts(7, 9.0, 20.0)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1, 100), (0.001, 1)])
def test_percentiles_are_values_that_were_seen(share: float, value: float) -> None:
    assert percentile(range(100, 0, -1), share) == value


# ----------------------------------------------------------------------------------------------------- runs


class Counted:
    """A contest of two sides; ``theirs`` is what the other does."""

    name = title = "counted"

    def __init__(self, theirs: Callable[[], dict[str, float]]) -> None:
        self.theirs = theirs
        self.taken = 0

    def steps(self, scene: Scene) -> list[Step]:
        def ours() -> dict[str, float]:
            self.taken += 1
            return {"rate": 1.0}

        return [Step("stub", "treadle", ours), Step("stub", "stub", self.theirs)]

    def verdicts(self, samples: object, abouts: object) -> list[object]:
        return []


def a_run(contest: Counted, log: Log) -> list[Sample]:
    told: list[Sample] = []
    scene = Scene(None, None, {}, {}, QUICK)  # type: ignore[arg-type]  # the contest needs no servers
    run(scene, [contest], log, lambda _: None, lambda sample, _, __: told.append(sample))  # type: ignore[list-item]
    return told


def test_a_side_that_fails_leaves_its_error_and_is_tried_again_when_resumed(tmp_path: Path) -> None:
    def fails() -> dict[str, float]:
        raise ProgramFailed("it broke")

    log = Log(tmp_path / "samples.jsonl", {})
    log.begin()
    contest = Counted(fails)
    assert [sample.error for sample in a_run(contest, log)] == ["", "ProgramFailed: it broke"]

    again = Log(log.path, {})
    assert again.resume()
    contest.theirs = lambda: {"rate": 2.0}
    (sample,) = a_run(contest, again)
    assert (sample.side, sample.values) == ("stub", {"rate": 2.0})
    assert contest.taken == 1
    assert [kept.error for kept in again.samples] == ["", ""]


def test_an_about_needs_no_more_than_who_it_is(peer: Peer, ground: Ground) -> None:
    assert peer.about(ground) == About("Stub", "stub", "1", "Python", "Redis", "", submits=["bulk"])


def test_what_a_run_started_does_not_outlive_it_even_when_it_is_killed(ground: Ground) -> None:
    program = (
        "import os, pathlib, sys, time\n"
        "from bench.program import Running\n"
        "started = Running(sys.argv[1:], dict(os.environ), pathlib.Path(os.environ['BENCH_DIR']) / 'log')\n"
        "print('{\"pid\": %d}' % started.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, *STUB, "work", "--jobs", "0"]
    environment = {**ground.environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    with running(command, environment, ground.folder / "run.log") as run_of_its_own:
        pid = run_of_its_own.line(20)["pid"]
        (ground.folder / "pending").write_text("1")
        wait_until(lambda: read_starts(ground.folder).jobs == 1, within_seconds=20, what="the worker's first job")
        assert runs(pid)
        run_of_its_own.process.kill()
        wait_until(lambda: not runs(pid), within_seconds=20, what="the worker's end")
