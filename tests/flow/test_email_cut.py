"""EMAIL_SEND with real workers that are killed and a server that cuts: with ``park`` nobody gets a second copy."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.builtin.sink import CUT, SILENCE, RawSink, Script, a_raw_sink
from tests.flow.conftest import NewStack
from tests.flow.stack import Stack
from tests.waiting import eventually_blocking

TO = ["ada@example.com", "bob@example.org"]
MAIL: dict[str, Any] = {"to": TO, "subject": "s", "body": "b", "onAmbiguous": "park"}


@contextmanager
def a_mail_server(*scripts: Script) -> Iterator[RawSink]:
    """A ``RawSink`` on a loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = a_raw_sink(*scripts)
    try:
        yield asyncio.run_coroutine_threadsafe(listening.__aenter__(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(listening.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def a_stack(new_stack: NewStack, sink: RawSink) -> Stack:
    stack = new_stack({"MAIL_PORT": str(sink.port), "TREADLE_TESTING": "1"})
    stack.start("api")
    return stack


def test_a_kill_between_the_parking_and_its_settling_makes_the_next_attempt_park_too(new_stack: NewStack) -> None:
    with a_mail_server({".": CUT}) as sink:
        stack = a_stack(new_stack, sink)
        victim = stack.start("worker", settings={"TREADLE_FAILPOINTS": "worker.before_settle=kill9"})
        job_id = stack.submit("EMAIL_SEND", MAIL)
        assert victim.wait(timeout=30) == -signal.SIGKILL
        stack.start("worker")

        job = stack.finish(job_id)

        assert (job["status"], job["attempts"], job["crashes"]) == ("dead", 2, 1)
        assert job["error"].startswith("ambiguous: 2 of 2 recipients may have the message")
        assert sink.accepted == [TO]


def test_a_kill_while_the_server_has_the_message_in_hand_parks(new_stack: NewStack) -> None:
    with a_mail_server({".": SILENCE}) as sink:
        stack = a_stack(new_stack, sink)
        victim = stack.start("worker")
        job_id = stack.submit("EMAIL_SEND", MAIL)
        eventually_blocking(lambda: sink.accepted, within_seconds=30)
        victim.kill()
        victim.wait()
        stack.start("worker")

        assert stack.finish(job_id)["status"] == "dead"
        assert sink.accepted == [TO]


@pytest.mark.parametrize("failpoint", ["worker.after_handler", "worker.before_settle"])
def test_a_kill_after_the_servers_yes_completes_without_a_second_copy(new_stack: NewStack, failpoint: str) -> None:
    with a_mail_server() as sink:
        stack = a_stack(new_stack, sink)
        victim = stack.start("worker", settings={"TREADLE_FAILPOINTS": f"{failpoint}=kill9"})
        job_id = stack.submit("EMAIL_SEND", MAIL)
        assert victim.wait(timeout=30) == -signal.SIGKILL
        stack.start("worker")

        job = stack.finish(job_id)

        assert (job["status"], job["result"]["accepted"]) == ("completed", 2)
        assert sink.accepted == [TO]


def test_a_cut_within_the_message_is_tried_again_and_not_parked(new_stack: NewStack) -> None:
    text = "a line of the message\n" * 45_000  # more than the buffers between the two: the cut is there before the dot
    with a_mail_server({"content": CUT}) as sink:
        stack = a_stack(new_stack, sink)
        stack.start("worker")

        job = stack.finish(stack.submit("EMAIL_SEND", {**MAIL, "body": text, "html": text}))

        assert (job["status"], job["attempts"]) == ("completed", 2)
        assert "nobody got the message" in job["errors"][0]["message"]
        assert sink.accepted == [TO]
