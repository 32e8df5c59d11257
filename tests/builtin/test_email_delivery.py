from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Callable
from email import message_from_bytes
from email.header import decode_header, make_header
from typing import Any

import pytest

from tests.builtin.conftest import a_mail
from tests.builtin.life import ID
from tests.builtin.sink import CERTIFICATE, CUT, HANG_UP, PIPELINING, SILENCE, Script, a_raw_sink, a_sink
from tests.waiting import eventually
from treadle import LeaseLost, NonRetryable, Snooze, Treadle
from treadle.builtin.email_send import EmailSent, RecipientsDeferred
from treadle.builtin.reply import MailServerRefused, MailServerUnavailable

NewApp = Callable[..., Treadle]
OFFERS: list[Script] = [{}, {"EHLO": PIPELINING}]
THREE = ["ada@example.com", "bob@example.com", "cy@example.com"]


async def test_a_message_is_delivered_and_the_result_says_under_which_id(new_app: NewApp) -> None:
    async with a_sink() as sink:
        result = await a_mail(new_app(sink.port), to=THREE).attempt()

        [kept] = sink.kept
        assert result == EmailSent(message_id=f"<{ID}@example.com>", accepted=3)
        assert kept.recipients == THREE
        assert message_from_bytes(kept.content)["Message-ID"] == result.message_id


async def test_the_bytes_on_the_wire_are_exact_and_a_lone_dot_survives(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        await a_mail(new_app(sink.port), body=".\nFirst\n.\n..two\n.hidden\nlast").attempt()

        [content] = sink.contents
        head, _, body = content.partition(b"\r\n\r\n")
        assert head.startswith(b"Date: Mon, 04 May 2026 12:00:00 +0000\r\n")  # test_message.py has it to the byte
        assert body == b"..\r\nFirst\r\n..\r\n...two\r\n..hidden\r\nlast\r\n.\r\n"


async def test_a_lone_dot_reaches_the_mailbox_as_it_was_written(new_app: NewApp) -> None:
    async with a_sink() as sink:
        await a_mail(new_app(sink.port), body="a\n.\n..b\n").attempt()

        assert sink.kept[0].content.endswith(b"\r\n\r\na\r\n.\r\n..b\r\n")


@pytest.mark.parametrize("subject", ["Bcc: victim@example.org", "half?=", "Grüße – 你好 ✓", "x" * 500, "😀" * 500])
async def test_no_subject_makes_a_second_header_or_recipient(new_app: NewApp, subject: str) -> None:
    async with a_sink() as sink:
        await a_mail(new_app(sink.port), subject=subject).attempt()

        [kept] = sink.kept
        message = message_from_bytes(kept.content)
        assert kept.recipients == ["ada@example.com"]
        assert sorted(message.keys()) == sorted(
            ["Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted"]
            + ["Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
        )
        assert str(make_header(decode_header(message["Subject"].replace("\r\n", "")))) == subject


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_a_message_of_the_largest_size_arrives_whole(new_app: NewApp, security: str) -> None:
    async with a_sink(tls=security == "tls", starttls=security == "starttls") as sink:
        text = "0123456789\n.\n" * 80_659
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        await a_mail(new_app(sink.port, security=security, tls_context=trusting), body=text, html=text).attempt()

        message = message_from_bytes(sink.kept[0].content)
        parts: Any = message.get_payload()
        assert [part.get_payload(decode=True).replace(b"\r\n", b"\n").decode() for part in parts] == [text, text]


async def test_a_recipient_put_off_is_tried_again_alone(new_app: NewApp) -> None:
    async with a_sink() as sink:
        sink.refusals["bob@example.com"] = "450 4.2.0 try again later"
        mail = a_mail(new_app(sink.port), to=THREE)

        with pytest.raises(RecipientsDeferred, match=r"1 of 3 recipients \(bob@example.com: 450 4.2.0 try"):
            await mail.attempt()
        assert mail.notes == [{"sent": ["ada@example.com", "cy@example.com"]}]
        sink.refusals.clear()
        result = await mail.attempt()

        assert result.accepted == 3
        assert [kept.recipients for kept in sink.kept] == [["ada@example.com", "cy@example.com"], ["bob@example.com"]]
        assert sink.kept[0].content == sink.kept[1].content


async def test_a_recipient_refused_for_good_fails_the_job_when_the_others_have_it(new_app: NewApp) -> None:
    async with a_sink() as sink:
        sink.refusals["bob@example.com"] = "550 5.1.1 no such user"
        mail = a_mail(new_app(sink.port), to=THREE)

        with pytest.raises(NonRetryable, match=r"refused for good for 1 of 3 recipients \(bob@example.com: 550 5.1.1"):
            await mail.attempt()
        with pytest.raises(NonRetryable, match="2 have the message and get no second copy"):
            await mail.attempt()  # an operator's requeue, with bob still unknown
        sink.refusals.clear()
        result = await mail.attempt()  # and another one, with bob known

        assert result.accepted == 3
        assert [sink.copies(address) for address in THREE] == [1, 1, 1]


async def test_put_off_and_refused_recipients_together_end_in_failure_and_one_copy_each(new_app: NewApp) -> None:
    async with a_sink() as sink:
        sink.refusals |= {"ada@example.com": "450 later", "bob@example.com": "550 never"}
        mail = a_mail(new_app(sink.port), to=THREE)

        with pytest.raises(RecipientsDeferred):
            await mail.attempt()
        del sink.refusals["ada@example.com"]
        with pytest.raises(NonRetryable, match=r"bob@example.com: 550 never"):
            await mail.attempt()

        assert [sink.copies(address) for address in THREE] == [1, 0, 1]
        assert mail.notes[-1] == {"sent": ["cy@example.com", "ada@example.com"]}


async def test_when_nobody_is_taken_no_message_is_sent_and_the_connection_is_used_again(new_app: NewApp) -> None:
    async with a_raw_sink({"RCPT bob@example.com": "550 no", "RCPT cy@example.com": "451 later"}) as sink:
        app = new_app(sink.port)
        with pytest.raises(NonRetryable):
            await a_mail(app, to="bob@example.com").attempt()
        with pytest.raises(RecipientsDeferred):
            await a_mail(app, to="cy@example.com").attempt()
        await a_mail(app).attempt()

        assert sink.accepted == [["ada@example.com"]]
        assert sink.verbs == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]
        assert sink.sessions == 1


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize(
    ("step", "answer"),
    [
        *itertools.product(["greeting", "EHLO", "MAIL", "RCPT", "DATA"], ["421 closing", "451 error", CUT, HANG_UP]),
        (".", "421 closing"),
        (".", "451 error"),
    ],
)
async def test_what_may_pass_is_tried_again_and_delivered_once(
    new_app: NewApp, step: str, answer: str, offers: Script
) -> None:
    async with a_raw_sink({**offers, step: answer, "HELO": answer}, {**offers}) as sink:
        mail = a_mail(new_app(sink.port))

        with pytest.raises((MailServerUnavailable, MailServerRefused, RecipientsDeferred), match=r"127\.0\.0\.1"):
            await mail.attempt()
        assert sink.accepted == []
        await mail.attempt()

        assert sink.accepted == [["ada@example.com"]]


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "DATA", "."])
async def test_what_is_refused_for_good_fails_at_once_with_the_servers_words(
    new_app: NewApp, step: str, offers: Script
) -> None:
    script: Script = {**offers, step: "554 5.7.1 not from \x07here"}
    if step == "EHLO":
        script["HELO"] = script[step]
    async with a_raw_sink(script) as sink:
        with pytest.raises(NonRetryable, match=rf"127.0.0.1:{sink.port} .*: 554 5.7.1 not from  ?here"):
            await a_mail(new_app(sink.port)).attempt()

        assert sink.accepted == []


async def test_an_old_server_without_ehlo_will_do(new_app: NewApp) -> None:
    async with a_raw_sink({"EHLO": "502 what"}) as sink:
        await a_mail(new_app(sink.port)).attempt()

        assert sink.verbs[:3] == ["EHLO", "HELO", "MAIL"]


@pytest.mark.parametrize("code", ["250 OK", "251 forwarded", "252 cannot verify, will try"])
async def test_every_yes_to_a_recipient_is_a_yes(new_app: NewApp, code: str) -> None:
    async with a_raw_sink({"RCPT": code}) as sink:
        assert (await a_mail(new_app(sink.port)).attempt()).accepted == 1


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize(
    ("step", "answer"),
    [("RCPT", "354 go ahead"), ("MAIL", "what?"), ("DATA", "250 OK"), ("MAIL", "199 x"), ("RCPT", "x" * 40_000)],
)
async def test_nonsense_ends_the_connection_and_is_tried_again(
    new_app: NewApp, step: str, answer: str, offers: Script
) -> None:
    async with a_raw_sink({**offers, step: answer}) as sink:
        mail = a_mail(new_app(sink.port, command_seconds=0.2))
        with pytest.raises(MailServerUnavailable) as caught:
            await mail.attempt()
        await mail.attempt()

        assert len(str(caught.value)) < 600
        assert sink.accepted == [["ada@example.com"]]


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_silent_server_is_given_up(new_app: NewApp, step: str, offers: Script) -> None:
    async with a_raw_sink({**offers, step: SILENCE}) as sink:
        mail = a_mail(new_app(sink.port, connect_seconds=0.05, command_seconds=0.05))

        with pytest.raises(MailServerUnavailable):
            await mail.attempt()
        assert sink.accepted == []


async def test_without_a_mail_server_the_error_says_what_to_set(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        port = sink.port

    with pytest.raises(MailServerUnavailable) as caught:
        await a_mail(new_app(port)).attempt()
    assert str(caught.value).startswith(f"cannot connect to the mail server at 127.0.0.1:{port}: ")
    assert str(caught.value).endswith("; is it running? set MAIL_HOST and MAIL_PORT")


async def test_a_refusal_in_the_midst_of_the_message_fails_at_once(new_app: NewApp) -> None:
    async with a_raw_sink({"content": "552 too much", ".": "552 too much"}) as sink:
        with pytest.raises(NonRetryable, match="552 too much"):
            await a_mail(new_app(sink.port)).attempt()
        assert sink.accepted == []


async def test_a_server_that_tells_its_size_hears_ours_first(new_app: NewApp) -> None:
    async with a_raw_sink({"EHLO": "250-sink\r\n250 SIZE 1000", "MAIL": "552 too large"}) as sink:
        with pytest.raises(NonRetryable, match="552 too large"):
            await a_mail(new_app(sink.port), body="x" * 2_000).attempt()
        size = int(sink.lines[-1].rpartition(b"SIZE=")[2])
        assert 2_000 < size < 3_000


async def test_a_success_counts_although_the_server_hangs_up_after_it(new_app: NewApp) -> None:
    async with a_raw_sink({"QUIT": CUT}) as sink:
        assert (await a_mail(new_app(sink.port)).attempt()).accepted == 1


async def test_an_attempt_whose_lease_is_in_doubt_sends_no_dot_and_spends_no_budget(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        mail = a_mail(new_app(sink.port))
        mail.has_lease = False
        with pytest.raises(Snooze):
            await mail.attempt()
        assert sink.accepted == []
        mail.has_lease = True
        await mail.attempt()

        assert sink.accepted == [["ada@example.com"]]


async def test_an_attempt_that_no_longer_counts_does_not_hide_it(new_app: NewApp) -> None:
    async def lost() -> None:
        raise LeaseLost("taken by another worker")

    async with a_sink() as sink:
        sink.refusals["bob@example.com"] = "450 later"
        mail = a_mail(new_app(sink.port), to=THREE)
        mail.on_checkpoint = lost
        with pytest.raises(LeaseLost):
            await mail.attempt()


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "."])
@pytest.mark.parametrize("offers", OFFERS)
async def test_a_cancelled_attempt_leaves_no_connection_behind(new_app: NewApp, step: str, offers: Script) -> None:
    async with a_raw_sink({**offers, step: SILENCE}) as sink:
        running = asyncio.create_task(a_mail(new_app(sink.port)).attempt())
        await eventually(lambda: sink.contents if step == "." else step in sink.verbs)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(lambda: sink.ended == 1)


async def test_nothing_is_sent_to_those_who_have_it_even_when_nobody_else_is_left(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        mail = a_mail(new_app(sink.port), to=THREE)
        mail.notes.append({"sent": THREE})

        assert (await mail.attempt()).accepted == 3
        assert sink.sessions == 0


async def test_a_server_that_offers_it_gets_the_whole_envelope_in_a_row(new_app: NewApp) -> None:
    async with a_raw_sink({"EHLO": PIPELINING, "MAIL": SILENCE}) as sink:
        waiting = asyncio.create_task(a_mail(new_app(sink.port), to=THREE).attempt())
        await eventually(lambda: "DATA" in sink.verbs)

        assert sink.verbs == ["EHLO", "MAIL", "RCPT", "RCPT", "RCPT", "DATA"]
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_server_that_does_not_offer_it_is_asked_one_thing_at_a_time(new_app: NewApp) -> None:
    async with a_raw_sink({"MAIL": SILENCE}) as sink:
        with pytest.raises(MailServerUnavailable, match="after MAIL: no answer within 0.05 s"):
            await a_mail(new_app(sink.port, command_seconds=0.05)).attempt()

        assert sink.verbs == ["EHLO", "MAIL"]


async def test_in_a_row_each_recipient_has_an_answer_of_its_own(new_app: NewApp) -> None:
    async with a_raw_sink({"EHLO": PIPELINING, "RCPT bob@example.com": "450 later"}) as sink:
        mail = a_mail(new_app(sink.port), to=THREE)
        with pytest.raises(RecipientsDeferred, match=r"1 of 3 recipients \(bob@example.com: 450 later"):
            await mail.attempt()
        assert (await mail.attempt()).accepted == 3

        assert sink.accepted == [["ada@example.com", "cy@example.com"], ["bob@example.com"]]
        assert sink.sessions == 1


@pytest.mark.parametrize(
    ("refusal", "data", "sessions"),
    [
        ({"RCPT": "550 no"}, "554 nobody there", 1),
        ({"MAIL": "550 no", "RCPT": "503 no sender"}, "503 no sender", 1),
        ({"RCPT": "550 no"}, "354 go ahead", 2),
        ({"RCPT": "550 no"}, "421 enough", 2),
        ({"RCPT": "550 no"}, HANG_UP, 2),
        ({"MAIL": "550 no"}, "354 go ahead", 2),
    ],
)
async def test_a_row_that_was_refused_sends_nothing_and_leaves_a_clean_connection_or_none(
    new_app: NewApp, refusal: Script, data: str, sessions: int
) -> None:
    async with a_raw_sink({"EHLO": PIPELINING, **refusal, "DATA": data}) as sink, asyncio.timeout(10):
        app = new_app(sink.port)
        with pytest.raises(NonRetryable, match="550 no"):
            await a_mail(app).attempt()
        await a_mail(app, to="bob@example.com").attempt()

        assert sink.accepted == [["bob@example.com"]]
        assert len(sink.contents) == 1
        assert sink.sessions == sessions


async def test_a_reply_that_nobody_asked_for_is_taken_for_nobodys_answer(new_app: NewApp) -> None:
    async with a_raw_sink({".": "250 kept\r\n250 and more"}) as sink:
        app = new_app(sink.port)
        await a_mail(app).attempt()
        await a_mail(app, to="bob@example.com").attempt()

        assert sink.accepted == [["ada@example.com"], ["bob@example.com"]]
        assert sink.verbs == ["EHLO", "MAIL", "RCPT", "DATA"] * 2
