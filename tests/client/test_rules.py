"""The rules alone: what is asked, when again, and what an answer means. Nothing is sent and no time passes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from treadle.client.talk import Answer, Ask, NoAnswer, Pause, Talk
from treadle.client.verbs import Verbs
from treadle.errors import (
    Conflict,
    InvalidInput,
    KeyInFlight,
    MalformedJson,
    NotFinished,
    NotFound,
    Overloaded,
    TreadleError,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from treadle.ids import new_job_id
from treadle.states import Status
from treadle.testing import ManualClock
from treadle.wire import JobDraft

JOB_ID = new_job_id()
DRAFT = JobDraft("GREET", {"name": "Ada"})
CREATED = Answer(201, {}, json.dumps({"jobId": JOB_ID}).encode())
AWAY = Answer(503, {"retry-after": "2"}, b'{"detail":"the store does not answer"}')
LOST = NoAnswer("the connection broke", was_sent=True)
NO_CONNECTION = NoAnswer("no connection", was_sent=False)

Reply = Answer | NoAnswer


def problem(status: int, slug: str = "", detail: str = "so it is", **members: Any) -> Answer:
    told = {"type": f"/problems/{slug}", "detail": detail, **members}
    return Answer(status, {"content-type": "application/problem+json"}, json.dumps(told).encode())


def a_job(status: str = "queued", **members: Any) -> Answer:
    numbers = dict.fromkeys(("attempts", "failures", "crashes"), 0) | {"maxAttempts": 3, "timeoutSeconds": 900}
    texts = {"id": JOB_ID, "type": "GREET", "queue": "default", "priority": "default", "status": status}
    times = dict.fromkeys(("createdAt", "updatedAt"), "2030-01-01T00:00:00.000Z")
    return Answer(200, {}, json.dumps({**numbers, **texts, **times, **members}).encode())


class Told:
    """What a talk asked and how long it paused, given these replies."""

    def __init__(self, clock: ManualClock, replies: Sequence[Reply]) -> None:
        self._clock = clock
        self._replies = list(replies)
        self.asks: list[Ask] = []
        self.pauses: list[float] = []

    def run(self, talk: Talk[Any], *, seconds_each: float = 0.0) -> Any:
        reply: Reply | None = None
        try:
            while True:
                step = talk.send(reply)
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    self._clock.advance(step.seconds)
                    reply = None
                else:
                    self.asks.append(step)
                    self._clock.advance(seconds_each)
                    reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        except StopIteration as returned:
            return returned.value


def a_talk(*replies: Reply, retry_seconds: float = 30.0) -> tuple[Told, Verbs]:
    clock = ManualClock()
    return Told(clock, replies), Verbs(retry_seconds, clock.rising)


def test_all_sendings_of_a_submission_go_under_one_key_made_by_the_client() -> None:
    told, verbs = a_talk(AWAY, LOST, NO_CONNECTION, problem(409, "idempotency-key-in-flight"), CREATED)
    assert told.run(verbs.submit(DRAFT, None)) == JOB_ID
    keys = {ask.headers["Idempotency-Key"] for ask in told.asks}
    assert (len(told.asks), len(keys), len(keys.pop())) == (5, 1, 32)
    assert len({ask.body for ask in told.asks}) == 1

    again, verbs = a_talk(CREATED)
    again.run(verbs.submit(DRAFT, None))
    assert again.asks[0].headers["Idempotency-Key"] != told.asks[0].headers["Idempotency-Key"]


def test_the_callers_key_is_sent_as_it_is() -> None:
    told, verbs = a_talk(AWAY, CREATED)
    told.run(verbs.submit(DRAFT, "order-1"))
    assert [ask.headers["Idempotency-Key"] for ask in told.asks] == ["order-1", "order-1"]


def test_retry_after_is_the_least_pause_and_other_pauses_grow() -> None:
    told, verbs = a_talk(AWAY, AWAY, LOST, LOST, LOST, CREATED)
    told.run(verbs.submit(DRAFT, None))
    assert told.pauses[:2] == [2.0, 2.0]
    assert 0.4 <= told.pauses[2] <= 0.8 <= told.pauses[3] <= 1.6 <= told.pauses[4] <= 3.2


@pytest.mark.parametrize("replies", [[AWAY], [LOST], [NO_CONNECTION], [problem(502)], [problem(504)], [problem(408)]])
def test_all_retries_together_are_bounded(replies: list[Reply]) -> None:
    told, verbs = a_talk(*replies, retry_seconds=30)
    with pytest.raises(Unavailable):
        told.run(verbs.submit(DRAFT, None))
    assert 20 < sum(told.pauses) <= 30


def test_a_retry_after_beyond_the_bound_ends_it_at_once() -> None:
    told, verbs = a_talk(Answer(503, {"retry-after": "31"}, b""), retry_seconds=30)
    with pytest.raises(Unavailable) as gave_up:
        told.run(verbs.submit(DRAFT, None))
    assert (told.pauses, gave_up.value.retry_after_seconds) == ([], 31)


@pytest.mark.parametrize("said", ["", "soon", "-1", "1.5", "٣", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_of_seconds_is_none(said: str) -> None:
    told, verbs = a_talk(Answer(503, {"retry-after": said}, b""), CREATED)
    told.run(verbs.submit(DRAFT, None))
    assert 0.1 <= told.pauses[0] <= 0.2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (problem(400, "invalid-request", errors=[{"pointer": "/a", "code": "c", "detail": "d"}]), InvalidInput),
        (problem(400, "malformed-json"), MalformedJson),
        (problem(413, "too-large"), InvalidInput),
        (problem(415, "unsupported-media-type"), InvalidInput),
        (problem(401, "unauthorized"), Unauthorized),
        (problem(403, "csrf"), Unauthorized),
        (problem(404, "not-found"), NotFound),
        (problem(409, "invalid-state"), Conflict),
        (problem(410, "gone"), NotFound),
        (problem(500, "internal-error"), UnexpectedAnswer),
        (Answer(500, {"content-type": "text/plain"}, b"oh\x1b[31m no"), UnexpectedAnswer),
        (Answer(302, {}, b"<html>"), UnexpectedAnswer),
        (Answer(418, {}, b"\xff\xfe"), UnexpectedAnswer),
        (Answer(201, {}, b"<html>"), UnexpectedAnswer),
        (Answer(201, {}, b"{}"), UnexpectedAnswer),
        (Answer(201, {}, b"[]"), UnexpectedAnswer),
    ],
)
def test_other_answers_are_asked_for_once_and_mean_one_error(reply: Answer, error: type[TreadleError]) -> None:
    told, verbs = a_talk(reply)
    with pytest.raises(error) as raised:
        told.run(verbs.submit(DRAFT, None))
    assert type(raised.value) is error
    assert (len(told.asks), told.pauses) == (1, [])
    assert "\x1b" not in str(raised.value)


def test_what_stays_unsaid_too_long_has_the_last_error() -> None:
    for reply, error in (
        (problem(409, "idempotency-key-in-flight"), KeyInFlight),
        (problem(503, "overloaded"), Overloaded),
    ):
        told, verbs = a_talk(reply)
        with pytest.raises(error):
            told.run(verbs.submit(DRAFT, None))
        assert len(told.asks) > 3


def test_an_operators_verb_is_repeated_only_where_nobody_can_have_heard_it() -> None:
    for verb in ("retry", "dlq"):
        told, verbs = a_talk(NO_CONNECTION, NO_CONNECTION, Answer(200, {}, b'{"status":"queued"}'))
        assert told.run(verbs.operate(JOB_ID, verb)) is Status.QUEUED
        for reply in (LOST, AWAY):
            told, verbs = a_talk(reply)
            with pytest.raises(Unavailable):
                told.run(verbs.operate(JOB_ID, verb))
            assert len(told.asks) == 1


def test_a_cancel_whose_answer_was_lost_is_no_conflict_with_itself() -> None:
    refused = problem(409, "invalid-state")
    told, verbs = a_talk(LOST, refused, a_job("cancelled"))
    assert told.run(verbs.cancel(JOB_ID)) is Status.CANCELLED

    told, verbs = a_talk(LOST, refused, a_job("completed"))
    with pytest.raises(Conflict):
        told.run(verbs.cancel(JOB_ID))

    told, verbs = a_talk(refused)
    with pytest.raises(Conflict):
        told.run(verbs.cancel(JOB_ID))
    assert len(told.asks) == 1


def test_waiting_asks_until_the_job_is_final() -> None:
    told, verbs = a_talk(a_job(), a_job("processing"), LOST, a_job("completed", result={"n": 1}))
    assert told.run(verbs.wait(JOB_ID, None), seconds_each=25).result == {"n": 1}
    assert [(ask.query["wait"], ask.patience_seconds) for ask in told.asks] == [("25.000", 25.0)] * 4


def test_waiting_ends_with_its_time_and_asks_for_no_more_than_is_left() -> None:
    told, verbs = a_talk(a_job())
    with pytest.raises(NotFinished, match="queued after 40"):
        told.run(verbs.wait(JOB_ID, 40), seconds_each=25)
    assert [ask.query.get("wait") for ask in told.asks] == ["25.000", "15.000"]


def test_waiting_for_a_server_that_is_away_ends_with_the_time_too() -> None:
    told, verbs = a_talk(NO_CONNECTION)
    with pytest.raises(Unavailable):
        told.run(verbs.wait(JOB_ID, 5))
    assert sum(told.pauses) <= 5


def test_members_that_a_newer_server_adds_are_ignored_and_broken_ones_are_named() -> None:
    told, verbs = a_talk(a_job("completed", colour="blue"))
    assert told.run(verbs.get(JOB_ID)).status is Status.COMPLETED
    for reply in (a_job("sleeping"), a_job(attempts="many"), Answer(200, {}, b"")):
        told, verbs = a_talk(reply)
        with pytest.raises(UnexpectedAnswer):
            told.run(verbs.get(JOB_ID))
