import pytest
import report
from report import Report

from treadle.testing import Harness


@pytest.fixture
def treadle_app():
    return report.app


def test_a_report_has_its_mean_and_its_file(treadle_harness: Harness):
    job_id = treadle_harness.submit("REPORT", Report(title="March", numbers=[3, 4, 5]))

    treadle_harness.drain()

    job = treadle_harness.job(job_id)
    assert job.status == "completed", job.error
    assert job.result == {"mean": 4.0}
    assert treadle_harness.file(job_id) == b"March: 4\n"


def test_a_closed_ledger_is_asked_again(treadle_harness: Harness, monkeypatch: pytest.MonkeyPatch):
    def closed(number: float) -> float:
        raise ConnectionError("the ledger is closed")

    job_id = treadle_harness.submit("REPORT", Report(title="March", numbers=[3]))
    with monkeypatch.context() as night:
        night.setattr(report, "look_up", closed)
        treadle_harness.drain()
    assert treadle_harness.job(job_id).status == "retrying"

    treadle_harness.advance(10)
    treadle_harness.drain()

    assert treadle_harness.job(job_id).status == "completed"


def test_a_draft_fails_at_once(treadle_harness: Harness):
    job_id = treadle_harness.submit("REPORT", Report(title="Draft of May", numbers=[1]))

    treadle_harness.drain()

    job = treadle_harness.job(job_id)
    assert (job.status, job.attempts) == ("failed", 1)
