"""Spans of handlers, in every mode, go on with the trace of the submission; without OpenTelemetry nothing happens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
CALM = {"TREADLE_LEASE_SECONDS": "15"}


@pytest.fixture
def stack(new_stack: NewStack) -> Stack:
    made = new_stack({"TREADLE_APP": "traced:app", **CALM})
    made.start("dev")
    return made


def submit(stack: Stack, type_name: str, headers: dict[str, str]) -> str:
    answer = stack.client.post("/jobs", json={"type": type_name, "payload": {}}, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["jobId"])


def spans(stack: Stack) -> list[dict[str, Any]]:
    """All spans, once the server has ended: that is when they are flushed."""
    assert stack.stop(stack.processes[0]) == 0
    return [json.loads(line) for line in (stack.folder / "spans.jsonl").read_text().splitlines()]


def test_every_kind_of_handler_goes_on_with_the_trace_of_its_submission(stack: Stack) -> None:
    ids = {kind: submit(stack, kind, TRACED) for kind in ("ASYNC", "THREAD", "ISOLATED")}
    for job_id in ids.values():
        assert stack.finish(job_id)["status"] == "completed"

    by_name = {span["name"]: span for span in spans(stack)}

    for kind, job_id in ids.items():
        outer, inner = by_name[f"process {kind}"], by_name[f"inside {kind.lower()}"]
        assert (outer["trace"], outer["parent"]) == (TRACE, CALLER)
        assert (inner["trace"], inner["parent"]) == (TRACE, outer["span"])
        assert outer["attributes"]["messaging.message.id"] == job_id
        assert outer["attributes"]["messaging.destination.name"] == "default"
        assert outer["status"] == "UNSET"


@pytest.mark.only_on("sqlite", reason="what the executor does does not depend on the rung")
def test_a_failure_is_an_error_of_its_span_and_a_snooze_is_none_and_no_field_begins_a_trace(stack: Stack) -> None:
    for kind in ("FAILS", "SNOOZES"):
        stack.finish(submit(stack, kind, {}))

    told = spans(stack)

    [failed] = [span for span in told if span["name"] == "process FAILS"]
    assert (failed["status"], failed["events"], failed["parent"]) == ("ERROR", ["exception"], None)
    snoozed = [span for span in told if span["name"] == "process SNOOZES"]
    assert [(span["status"], span["events"]) for span in snoozed] == [("UNSET", [])] * 2
    assert len({span["trace"] for span in told}) == 3


@pytest.mark.only_on("sqlite", reason="what the Python door does does not depend on the rung")
def test_a_job_submitted_by_a_handler_goes_on_with_its_trace(stack: Stack) -> None:
    stack.finish(submit(stack, "SUBMITS", TRACED))
    [inner] = stack.rows() - {job["id"] for job in stack.client.get("/admin/jobs?type=SUBMITS").json()["jobs"]}
    stack.finish(inner)

    by_name = {span["name"]: span for span in spans(stack)}

    assert by_name["process ASYNC"]["trace"] == TRACE
    assert by_name["process ASYNC"]["parent"] == by_name["process SUBMITS"]["span"]
