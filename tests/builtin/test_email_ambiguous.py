"""The one moment in which nobody can know: after the final dot, before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.builtin.conftest import a_mail
from tests.builtin.life import Life
from tests.builtin.sink import CUT, HANG_UP, SILENCE, a_raw_sink
from tests.waiting import eventually
from treadle import LeaseLost, NonRetryable, Park, Treadle
from treadle.builtin.email_send import RecipientsDeferred
from treadle.builtin.mail_server import MailServer
from treadle.builtin.reply import AnswerLost, MailServerRefused, MailServerUnavailable
from treadle.builtin.smtp import Connection

NewApp = Callable[..., Treadle]
ADA = "ada@example.com"
BOB = "bob@example.com"


async def ended_parked(mail: Life) -> str:
    with pytest.raises(Park) as caught:
        await mail.attempt()
    return caught.value.reason


@pytest.mark.parametrize("answer", [CUT, HANG_UP, SILENCE, "what?", "354 more", "x" * 40_000])
async def test_retry_says_that_it_is_ambiguous_and_sends_again(new_app: NewApp, answer: str) -> None:
    async with a_raw_sink({".": answer}) as sink:
        mail = a_mail(new_app(sink.port, final_dot_seconds=0.1))

        with pytest.raises(AnswerLost, match="gave no answer to it .* so it may have been delivered or not"):
            await mail.attempt()
        await mail.attempt()

        assert sink.accepted == [[ADA], [ADA]]
        assert sink.contents[0] == sink.contents[1]


@pytest.mark.parametrize("answer", [CUT, HANG_UP, SILENCE, "what?", "354 more", "x" * 40_000])
async def test_park_parks_and_never_sends_a_second_copy_even_when_requeued(new_app: NewApp, answer: str) -> None:
    async with a_raw_sink({".": answer}) as sink:
        mail = a_mail(new_app(sink.port, final_dot_seconds=0.1), onAmbiguous="park")

        assert (await ended_parked(mail)).startswith("ambiguous: the mail server at 127.0.0.1:")
        for _ in range(2):
            reason = await ended_parked(mail)
            assert reason.startswith("ambiguous: 1 of 1 recipients may have the message or not (ada@example.com)")

        assert sink.accepted == [[ADA]]
        assert mail.notes == [{"unsure": [ADA]}]


async def test_park_writes_it_down_before_the_dot(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        mail = a_mail(new_app(sink.port), onAmbiguous="park")
        at_checkpoint: list[tuple[list[str], int]] = []

        async def look() -> None:
            at_checkpoint.append((sink.verbs, len(sink.contents)))

        mail.on_checkpoint = look
        await mail.attempt()

        assert [messages for _, messages in at_checkpoint] == [0, 1]
        assert at_checkpoint[0][0][-1] == "DATA"
        assert mail.notes == [{"unsure": [ADA]}, {"sent": [ADA]}]


async def test_an_attempt_that_died_after_the_dot_is_parked_by_the_next_one(new_app: NewApp) -> None:
    async with a_raw_sink({".": SILENCE}) as sink:
        mail = a_mail(new_app(sink.port), onAmbiguous="park")
        dying = asyncio.create_task(mail.attempt())
        await eventually(lambda: sink.contents)
        dying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dying

        await ended_parked(mail)

        assert sink.accepted == [[ADA]]


async def test_park_sends_nothing_where_the_note_could_not_be_saved(new_app: NewApp) -> None:
    async def lost() -> None:
        raise LeaseLost("taken by another worker")

    async with a_raw_sink() as sink:
        mail = a_mail(new_app(sink.port), onAmbiguous="park")
        mail.on_checkpoint = lost
        with pytest.raises(LeaseLost):
            await mail.attempt()
        await eventually(lambda: sink.ended == 1)

        assert sink.contents == []
        assert sink.accepted == []


async def test_park_is_not_ambiguous_where_the_connection_broke_before_the_dot(
    new_app: NewApp, ended_dialogues: list[str]
) -> None:
    async with a_raw_sink({"content": CUT}) as sink:
        mail = a_mail(new_app(sink.port), onAmbiguous="park")

        async def until_it_is_cut() -> None:
            await eventually(lambda: ended_dialogues)

        mail.on_checkpoint = until_it_is_cut
        with pytest.raises(MailServerUnavailable, match="broke off within the message.*nobody got the message"):
            await mail.attempt()
        mail.on_checkpoint = None
        assert mail.notes == [{"unsure": [ADA]}, {}]
        await mail.attempt()

        assert sink.accepted == [[ADA]]


@pytest.mark.parametrize("answer", ["451 later", "554 never"])
async def test_park_is_not_ambiguous_where_the_server_said_no(new_app: NewApp, answer: str) -> None:
    async with a_raw_sink({".": answer}) as sink:
        mail = a_mail(new_app(sink.port), onAmbiguous="park")

        with pytest.raises((MailServerRefused, NonRetryable), match=answer):
            await mail.attempt()
        assert mail.notes[-1] == {}
        await mail.attempt()

        assert sink.accepted == [[ADA]]


async def test_those_put_off_are_served_by_a_requeue_and_the_unsure_ones_are_not(new_app: NewApp) -> None:
    async with a_raw_sink({f"RCPT {BOB}": "450 later", ".": CUT}) as sink:
        mail = a_mail(new_app(sink.port), to=[ADA, BOB], onAmbiguous="park")

        await ended_parked(mail)
        reason = await ended_parked(mail)

        assert "1 of 2 recipients may have the message or not (ada@example.com)" in reason
        assert sink.accepted == [[ADA], [BOB]]
        assert mail.notes[-1] == {"sent": [BOB], "unsure": [ADA]}


async def test_park_goes_on_with_the_deferred_ones_after_a_clean_answer(new_app: NewApp) -> None:
    async with a_raw_sink({f"RCPT {BOB}": "450 later"}) as sink:
        mail = a_mail(new_app(sink.port), to=[ADA, BOB], onAmbiguous="park")

        with pytest.raises(RecipientsDeferred):
            await mail.attempt()
        assert mail.notes[-1] == {"sent": [ADA]}
        assert (await mail.attempt()).accepted == 2

        assert sink.accepted == [[ADA], [BOB]]


async def test_a_cut_while_a_part_of_the_message_is_unsent_is_no_lost_answer() -> None:
    async with a_raw_sink({"content": CUT}) as sink:
        server = MailServer(host="127.0.0.1", port=sink.port, sender="app@example.com")
        connection = await Connection.open(server)
        await connection.begin(100, [ADA])

        async def until_it_is_cut() -> None:
            await eventually(lambda: not connection._dialogue.is_open)

        with pytest.raises(MailServerUnavailable, match="nobody got the message"):
            await connection.deliver(b"Subject: x\r\n\r\nx\r\n", lambda: None, until_it_is_cut)
        assert not connection.is_reusable


async def test_the_answer_after_the_dot_has_a_patience_of_its_own(new_app: NewApp) -> None:
    server = MailServer(host="127.0.0.1", port=1, sender="app@example.com")

    assert (server.connect_seconds, server.command_seconds, server.final_dot_seconds) == (10, 60, 600)
