"""An interrupted run goes on with what it has; a run with other settings does not."""

from __future__ import annotations

from pathlib import Path

from bench.sample import Log, Sample

HEADER = {"quick": True}


def a_sample(round: int, error: str = "") -> Sample:
    return Sample("drain", round, "huey", "huey", {} if error else {"rate": 5.5}, error)


def a_log(folder: Path) -> Log:
    log = Log(folder / "bench" / "samples.jsonl", HEADER)
    log.begin()
    return log


def test_what_was_taken_is_not_taken_again(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.add(a_sample(1))
    again = Log(log.path, HEADER)
    assert again.resume()
    assert again.samples == [a_sample(1)]
    assert again.taken == {("drain", 1, "huey", "huey")}


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.add(a_sample(1))
    log.add(a_sample(2))
    log.path.write_bytes(log.path.read_bytes()[:-9])
    again = Log(log.path, HEADER)
    assert again.resume()
    again.add(a_sample(3))
    third = Log(log.path, HEADER)
    assert third.resume()
    assert [sample.round for sample in third.samples] == [1, 3]


def test_a_failure_is_tried_again_and_then_forgotten(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.add(a_sample(1, "it broke"))
    assert log.taken == set()
    log.add(a_sample(1))
    assert log.samples == [a_sample(1)]
    again = Log(log.path, HEADER)
    assert again.resume()
    assert again.samples == [a_sample(1)]
    assert again.taken == {("drain", 1, "huey", "huey")}


def test_a_run_with_other_settings_is_another_run(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.add(a_sample(1))
    assert not Log(log.path, {"quick": False}).resume()
    assert not Log(tmp_path / "none.jsonl", HEADER).resume()
