"""Nobody gets a second copy, wherever connection or worker are cut: every step, both policies, three recipients."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import aiosmtplib
import pytest

from tests.builtin.conftest import a_mail
from tests.builtin.life import Life
from tests.builtin.sink import CUT, HANG_UP, PIPELINING, SILENCE, RawSink, Script, a_raw_sink
from tests.waiting import eventually
from treadle import Park, Treadle
from treadle.builtin.email_send import RecipientsDeferred
from treadle.builtin.reply import AnswerLost, MailServerUnavailable

NewApp = Callable[..., Treadle]
THREE = ["ada@example.com", "bob@example.com", "cy@example.com"]
ADA, BOB, CY = THREE
OFFERS: list[Script] = [{}, {"EHLO": PIPELINING}]
BEFORE_THE_DOT = ["greeting", "EHLO", "MAIL", f"RCPT {ADA}", f"RCPT {BOB}", f"RCPT {CY}", "DATA", "content"]


def copies(sink: RawSink) -> Counter[str]:
    """How many copies each recipient has, at most: told to the client or not."""
    return Counter(address for taken in sink.accepted for address in taken)


async def ended(mail: Life) -> str:
    """How the job ends when every failure is tried again, as a worker would: ``completed`` or ``parked``."""
    for _ in range(5):
        try:
            await mail.attempt()
        except (MailServerUnavailable, AnswerLost, RecipientsDeferred):
            continue
        except Park:
            return "parked"
        return "completed"
    raise AssertionError("tried five times")


def slow_note(mail: Life, sink: RawSink, ended_dialogues: list[str]) -> None:
    """Let the note before the dot take as long as the news of the cut within the message needs."""

    async def until_cut() -> None:
        mail.on_checkpoint = None
        await eventually(lambda: sink.cuts and ended_dialogues)

    mail.on_checkpoint = until_cut


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize("policy", ["retry", "park"])
@pytest.mark.parametrize("how", [CUT, HANG_UP])
@pytest.mark.parametrize("step", BEFORE_THE_DOT)
async def test_a_cut_before_the_dot_is_not_ambiguous_and_everybody_gets_one_copy(
    new_app: NewApp, ended_dialogues: list[str], step: str, how: str, policy: str, offers: Script
) -> None:
    async with a_raw_sink({**offers, step: how}, {**offers}) as sink:
        mail = a_mail(new_app(sink.port), to=THREE, onAmbiguous=policy)
        if step == "content":
            slow_note(mail, sink, ended_dialogues)

        assert await ended(mail) == "completed"

        assert copies(sink) == {ADA: 1, BOB: 1, CY: 1}
        assert mail.attempts == 2


@pytest.mark.parametrize("how", [CUT, HANG_UP, SILENCE])
async def test_a_cut_after_the_dot_is_ambiguous_and_the_policy_decides(new_app: NewApp, how: str) -> None:
    for policy, end, count in (("retry", "completed", 2), ("park", "parked", 1)):
        async with a_raw_sink({".": how}) as sink:
            mail = a_mail(new_app(sink.port, final_dot_seconds=0.1), to=THREE, onAmbiguous=policy)

            assert await ended(mail) == end

            assert copies(sink) == {ADA: count, BOB: count, CY: count}


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize("policy", ["retry", "park"])
@pytest.mark.parametrize("step", ["MAIL", f"RCPT {BOB}", "DATA", "content", "."])
async def test_who_has_it_is_left_alone_when_the_rest_is_cut_off(
    new_app: NewApp, ended_dialogues: list[str], step: str, policy: str, offers: Script
) -> None:
    script: Script = {**offers, f"RCPT {BOB}": "450 later"}
    async with a_raw_sink(script, {**offers}) as sink:
        mail = a_mail(new_app(sink.port), to=THREE, onAmbiguous=policy)
        with pytest.raises(RecipientsDeferred):
            await mail.attempt()
        assert copies(sink) == {ADA: 1, CY: 1}
        script[step] = CUT
        if step == "content":
            slow_note(mail, sink, ended_dialogues)

        end = await ended(mail)

        assert end == ("parked" if (step, policy) == (".", "park") else "completed")
        assert copies(sink) == {ADA: 1, BOB: 2 if (step, policy) == (".", "retry") else 1, CY: 1}


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."])
async def test_with_park_a_worker_that_dies_at_any_step_makes_no_second_copy(
    new_app: NewApp, step: str, offers: Script
) -> None:
    async with a_raw_sink({**offers, step: SILENCE}, {**offers}) as sink:
        mail = a_mail(new_app(sink.port), to=THREE, onAmbiguous="park")
        dying = asyncio.create_task(mail.attempt())
        await eventually(lambda: {"greeting": sink.sessions, ".": sink.contents}.get(step, step in sink.verbs))
        dying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dying

        ends = [await ended(mail), await ended(mail)]

        assert ends == [("parked" if step == "." else "completed")] * 2
        assert copies(sink) == {ADA: 1, BOB: 1, CY: 1}


async def test_a_cancellation_that_the_library_swallows_ends_the_wait_all_the_same(
    new_app: NewApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting, swallowed, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def connect(client: aiosmtplib.SMTP, **options: object) -> None:
        connecting.set()
        with suppress(asyncio.CancelledError):
            await over.wait()
        swallowed.set()
        await over.wait()

    monkeypatch.setattr(aiosmtplib.SMTP, "connect", connect)
    dying = asyncio.create_task(a_mail(new_app(1)).attempt())
    await connecting.wait()
    dying.cancel()

    done, _ = await asyncio.wait((dying,), timeout=10)
    await swallowed.wait()
    over.set()
    assert done
    assert dying.cancelled()


@pytest.mark.parametrize("is_saved", [False, True])
async def test_with_park_a_worker_that_dies_at_the_note_makes_no_second_copy(new_app: NewApp, is_saved: bool) -> None:
    async with a_raw_sink() as sink:
        mail = a_mail(new_app(sink.port), to=THREE, onAmbiguous="park")

        async def die() -> None:
            mail.on_checkpoint = None
            if is_saved:
                mail.notes.append({"unsure": THREE})
            raise asyncio.CancelledError

        mail.on_checkpoint = die
        with pytest.raises(asyncio.CancelledError):
            await mail.attempt()

        assert await ended(mail) == ("parked" if is_saved else "completed")
        assert copies(sink) == ({} if is_saved else {ADA: 1, BOB: 1, CY: 1})
