from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.builtin.conftest import a_mail
from tests.builtin.sink import CUT, HANG_UP, SILENCE, a_raw_sink, a_sink
from tests.waiting import eventually
from treadle import Treadle
from treadle.builtin import pool
from treadle.builtin.email_send import EmailSent
from treadle.builtin.reply import MailServerUnavailable

NewApp = Callable[..., Treadle]


async def test_jobs_one_after_the_other_share_one_connection(new_app: NewApp) -> None:
    async with a_sink() as sink:
        app = new_app(sink.port)
        for _ in range(20):
            await a_mail(app).attempt()

        assert (len(sink.kept), sink.sessions) == (20, 1)


async def test_jobs_at_once_share_as_many_connections_as_allowed(new_app: NewApp) -> None:
    async with a_sink() as sink:
        app = new_app(sink.port, max_connections=3)
        await asyncio.gather(*(a_mail(app).attempt() for _ in range(30)))

        assert (len(sink.kept), sink.sessions) == (30, 3)


async def test_nothing_is_opened_before_the_first_job(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        app = new_app(sink.port)
        for hook in [*app.start_hooks, *app.stop_hooks]:
            await hook()

        assert sink.sessions == 0


async def test_the_worker_says_goodbye_when_it_stops_and_can_start_again(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        app = new_app(sink.port)
        await a_mail(app).attempt()
        for hook in app.stop_hooks:
            await hook()

        assert sink.verbs[-1] == "QUIT"
        await eventually(lambda: sink.ended == 1)
        await a_mail(app).attempt()
        assert sink.sessions == 2


async def test_a_connection_that_idles_too_long_is_closed_with_a_goodbye(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        await a_mail(new_app(sink.port, idle_seconds=0.01)).attempt()

        await eventually(lambda: sink.ended == 1)
        assert sink.verbs[-1] == "QUIT"


@pytest.mark.parametrize("answer", ["421 enough for one session", CUT, HANG_UP])
async def test_a_session_that_the_server_ends_between_two_messages_costs_no_attempt(
    new_app: NewApp, answer: str
) -> None:
    async with a_raw_sink({}) as sink:
        app = new_app(sink.port)
        await a_mail(app).attempt()
        sink.next_mail = answer
        await a_mail(app, to="bob@example.com").attempt()

        assert sink.accepted == [["ada@example.com"], ["bob@example.com"]]
        assert sink.sessions == 2


async def test_a_fresh_connection_that_fails_is_not_tried_twice_in_one_attempt(new_app: NewApp) -> None:
    async with a_raw_sink({"MAIL": CUT}, {"MAIL": CUT}) as sink:
        with pytest.raises(MailServerUnavailable):
            await a_mail(new_app(sink.port)).attempt()

        assert sink.sessions == 1


async def test_a_connection_closed_by_the_server_meanwhile_is_noticed_before_use(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        app = new_app(sink.port)
        await a_mail(app).attempt()
        sink.hang_up_all()
        await eventually(lambda: sink.ended == 1)
        await a_mail(app).attempt()

        assert (sink.sessions, len(sink.accepted)) == (2, 2)


@pytest.mark.parametrize("answer", ["250 still here", SILENCE, "421 no", CUT])
async def test_a_connection_that_rested_is_asked_first(
    new_app: NewApp, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(pool, "_TRUSTED_IDLE_SECONDS", -1.0)
    monkeypatch.setattr(pool, "_ALIVE_WITHIN_SECONDS", 0.05)
    async with a_raw_sink({"NOOP": answer}) as sink:
        app = new_app(sink.port)
        await a_mail(app).attempt()
        await a_mail(app).attempt()

        assert "NOOP" in sink.verbs
        assert sink.sessions == (1 if answer.startswith("250") else 2)
        assert len(sink.accepted) == 2


async def test_an_attempt_that_is_cancelled_while_it_asks_leaves_no_connection_behind(
    new_app: NewApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_TRUSTED_IDLE_SECONDS", -1.0)
    async with a_raw_sink({"NOOP": SILENCE}) as sink:
        app = new_app(sink.port)
        await a_mail(app).attempt()
        asking = asyncio.create_task(a_mail(app).attempt())
        await eventually(lambda: "NOOP" in sink.verbs)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        await eventually(lambda: sink.ended == 1)


async def test_a_connection_with_an_open_transaction_is_never_used_again(new_app: NewApp) -> None:
    async with a_raw_sink({"DATA": "451 later", "RSET": "500 what"}) as sink:
        app = new_app(sink.port)
        with pytest.raises(Exception, match="451 later"):
            await a_mail(app).attempt()
        await a_mail(app).attempt()

        assert sink.sessions == 2


async def test_a_waiting_job_gets_its_turn_when_another_one_fails(new_app: NewApp) -> None:
    async with a_raw_sink({"RCPT": CUT}) as sink:
        app = new_app(sink.port, max_connections=1)
        attempts = [a_mail(app).attempt(), a_mail(app, to="bob@example.com").attempt()]
        ends = await asyncio.gather(*attempts, return_exceptions=True)

        assert [type(end) for end in ends] == [MailServerUnavailable, EmailSent]
        assert sink.accepted == [["bob@example.com"]]
