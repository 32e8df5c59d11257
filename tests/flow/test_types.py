"""An API without the user's code, and a worker with it: the API learns the types from the store."""

from __future__ import annotations

from typing import Any

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack
from tests.waiting import eventually_blocking


def test_an_api_without_the_users_code_takes_checks_and_lists_its_types(new_stack: NewStack) -> None:
    stack = new_stack()
    del stack.settings["TREADLE_APP"]
    stack.start("api")
    unknown = stack.client.post("/jobs", json={"type": "LEDGER", "payload": {}})
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (400, "unknown_type")

    worker = stack.start("worker", settings={"TREADLE_APP": "ledger:app"})
    eventually_blocking(lambda: "LEDGER" in listed(stack), within_seconds=30)
    done = stack.finish(stack.submit("LEDGER", {"seconds": 0.01}))
    wrong = stack.client.post("/jobs", json={"type": "LEDGER", "payload": {"seconds": "long", "killOnAttempt": 1.5}})

    assert (done["status"], done["result"]) == ("completed", {"attempt": 1})
    assert wrong.status_code == 400
    assert {(e["pointer"], e["code"]) for e in wrong.json()["errors"]} == {
        ("/payload/seconds", "type"),
        ("/payload/killOnAttempt", "type"),
    }
    assert listed(stack)["LEDGER"]["source"] == "published"
    assert listed(stack)["CSV_EXPORT"]["source"] == "code"
    assert listed(stack)["LEDGER"]["schema"]["$defs"]["Work"]["properties"].keys() == {"seconds", "killOnAttempt"}

    # Its worker goes away; the type is still one, and its jobs wait for the next.
    stack.stop(worker)
    waiting = stack.submit("LEDGER", {})
    stack.start("worker", settings={})  # knows the built-in types alone
    other = stack.finish(stack.submit("CSV_EXPORT", {"data": [{"a": 1}]}))
    assert other["status"] == "completed"
    assert stack.job(waiting)["status"] == "queued"
    stack.start("worker", settings={"TREADLE_APP": "ledger:app"})
    assert stack.finish(waiting)["status"] == "completed"


def listed(stack: Stack) -> dict[str, dict[str, Any]]:
    answer = stack.client.get("/types")
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["types"]}
