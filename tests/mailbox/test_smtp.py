"""What is sent over SMTP is kept byte for byte, and nothing a client says brings the server down."""

from __future__ import annotations

import asyncio
import smtplib
import socket

import pytest

from tests.mailbox.post import RECIPIENT, SENDER, a_letter, a_line, send
from tests.waiting import eventually
from treadle.mailbox.box import Box
from treadle.mailbox.server import Mailbox
from treadle.mailbox.smtp import MAX_RECIPIENTS, Reception, start_smtp


async def test_a_message_arrives_with_its_envelope(mailbox: Mailbox) -> None:
    await send(mailbox, a_letter(), recipients=[RECIPIENT, "second@example.org"])

    (message,) = mailbox.box.newest_first()
    assert message.raw == a_letter()
    assert message.envelope.sender == SENDER
    assert message.envelope.recipients == (RECIPIENT, "second@example.org")
    assert message.envelope.helo == "client.example.com"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b".\r\n", id="nothing but a dot"),
        pytest.param(b"\r\n", id="an empty line"),
        pytest.param(b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\nend\r\n", id="dots at the start of lines"),
        pytest.param(b"Subject: x\r\n\r\nends with a dot.\r\n", id="a dot at the end of a line"),
        pytest.param(b"Subject: x\r\n\r\n\x00\xff\xfe 8-bit\x7f\r\n", id="bytes that are no text"),
        pytest.param(b"Subject: x\r\n\r\n" + b"long" * 100_000 + b"\r\n", id="a line of 400 kB"),
        pytest.param(b"Subject: x\r\n\r\n" + b".\r\n" * 50_000, id="150 kB of dots"),
    ],
)
async def test_every_byte_arrives_as_sent(mailbox: Mailbox, raw: bytes) -> None:
    await send(mailbox, raw, options=["BODY=8BITMIME"])

    (message,) = mailbox.box.newest_first()
    assert message.raw == raw


async def test_bare_line_feeds_stay_and_do_not_end_the_message(mailbox: Mailbox) -> None:
    smuggled = b"Subject: one\r\n\r\ntext\n.\nMAIL FROM:<evil@example.com>\n.\r\r\n.\n\r\n"
    async with a_line(mailbox) as line:
        await line.begin_data()
        answer = await line.say(smuggled.replace(b"\r\n.", b"\r\n..") + b".\r\n")

    assert answer.startswith(b"250 ")
    (message,) = mailbox.box.newest_first()
    assert message.raw == smuggled


async def test_an_empty_message_is_a_message(mailbox: Mailbox) -> None:
    async with a_line(mailbox) as line:
        await line.begin_data()
        answer = await line.say(b".\r\n")

    assert answer.startswith(b"250 ")
    assert mailbox.box.newest_first()[0].raw == b""


async def test_a_message_may_arrive_one_byte_at_a_time(mailbox: Mailbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", mailbox.smtp_port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    dialogue = b"HELO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\na\r\n..\r\n.\r\nQUIT\r\n"
    for byte in dialogue:
        writer.write(bytes([byte]))
        await writer.drain()
    await asyncio.wait_for(reader.read(), 10)
    writer.close()

    assert mailbox.box.newest_first()[0].raw == b"a\r\n.\r\n"


async def test_one_connection_carries_many_messages(mailbox: Mailbox) -> None:
    def deliver() -> None:
        with smtplib.SMTP("127.0.0.1", mailbox.smtp_port, timeout=10) as client:
            for number in range(20):
                client.sendmail(SENDER, [RECIPIENT], a_letter(subject=f"number {number}"))

    await asyncio.to_thread(deliver)

    assert [m.subject for m in mailbox.box.newest_first()] == [f"number {n}" for n in reversed(range(20))]


async def test_what_is_offered_is_told(mailbox: Mailbox) -> None:
    async with a_line(mailbox) as line:
        offer = await line.say(b"EHLO client.example.com\r\n")

    assert f"SIZE {mailbox.box.max_bytes}".encode() in offer
    assert b"8BITMIME" in offer
    assert b"SMTPUTF8" in offer
    assert b"AUTH" not in offer
    assert b"STARTTLS" not in offer


async def test_a_login_is_not_taken(mailbox: Mailbox) -> None:
    async with a_line(mailbox) as line:
        await line.say(b"EHLO client.example.com\r\n")
        answer = await line.say(b"AUTH PLAIN AGEAYg==\r\n")

    assert answer.startswith(b"502 ")


async def test_addresses_may_be_in_any_script(mailbox: Mailbox) -> None:
    async with a_line(mailbox) as line:
        await line.say(b"EHLO client.example.com\r\n")
        await line.say("MAIL FROM:<grüße@example.com> SMTPUTF8\r\n".encode())
        await line.say("RCPT TO:<δοκιμή@example.org>\r\n".encode())
        await line.say(b"DATA\r\n")
        await line.say("Subject: Grüße\r\n\r\ntext\r\n.\r\n".encode())

    (message,) = mailbox.box.newest_first()
    assert message.envelope.sender == "grüße@example.com"
    assert message.envelope.recipients == ("δοκιμή@example.org",)
    assert message.subject == "Grüße"


async def test_the_null_sender_is_an_empty_address(mailbox: Mailbox) -> None:
    async with a_line(mailbox) as line:
        await line.say(b"HELO x\r\n")
        assert (await line.say(b"MAIL FROM:<>\r\n")).startswith(b"250")
        await line.say(b"RCPT TO:<b@example.org>\r\n")
        await line.say(b"DATA\r\n")
        await line.say(b".\r\n")

    assert mailbox.box.newest_first()[0].envelope.sender == ""


@pytest.mark.parametrize(
    "command",
    [
        b"",
        b" ",
        b"\x00",
        b"\xff\xfe",
        b"BOGUS",
        b"MAIL",
        b"MAIL FROM:",
        b"MAIL FROM:<",
        b"MAIL FROM:" + b"(" * 400,
        b"MAIL FROM:<\xff@example.com>",
        b"MAIL FROM:<a@example.com> SIZE=\xc2\xb2",
        b"MAIL FROM:<a@example.com> SIZE=99999999999999999999",
        b"MAIL FROM:<a@example.com> BODY=NONSENSE",
        b"RCPT TO:<b@example.org>",
        b"DATA",
        b"DATA now",
        b"VRFY \xff",
        b"HELP \xff",
        b"EXPN list",
        b"STARTTLS",
        b"AUTH",
        b"NOOP " + b"x" * 100_000,
    ],
)
async def test_an_odd_command_is_answered_and_the_conversation_goes_on(mailbox: Mailbox, command: bytes) -> None:
    async with a_line(mailbox) as line:
        await line.say(b"EHLO client.example.com\r\n")
        answer = await line.say(command + b"\r\n")
        assert answer[:1] in (b"2", b"4", b"5"), answer
        assert b"Traceback" not in answer
        await line.say(b"RSET\r\n")
        await line.begin_data()
        assert (await line.say(b"still here\r\n.\r\n")).startswith(b"250 ")

    assert mailbox.box.newest_first()[0].raw == b"still here\r\n"


async def test_a_client_that_vanishes_inside_a_message_leaves_nothing(mailbox: Mailbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", mailbox.smtp_port)
    writer.write(b"HELO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n")
    for _ in range(4):
        await reader.readline()
    writer.write(b"DATA\r\n")
    await reader.readline()
    writer.write(b"half a mess")
    await writer.drain()
    writer.transport.abort()

    await send(mailbox, a_letter())
    assert mailbox.box.count == 1


@pytest.fixture
async def small() -> Mailbox:
    return Mailbox(smtp_port=0, box=Box(max_bytes=10_000))


async def test_a_message_larger_than_the_box_is_refused_with_552(small: Mailbox) -> None:
    await small.start()
    async with a_line(small) as line:
        await line.begin_data()
        answer = await line.say(b"x" * 100_000 + b"\r\n.\r\n")
        assert answer.startswith(b"552 ")
        await line.begin_data()
        assert (await line.say(b"a small one\r\n.\r\n")).startswith(b"250 ")
    await small.stop()

    assert [message.raw for message in small.box.newest_first()] == [b"a small one\r\n"]


async def test_the_announced_size_is_refused_before_the_message_is_sent(small: Mailbox) -> None:
    await small.start()
    async with a_line(small) as line:
        await line.say(b"EHLO client.example.com\r\n")
        answer = await line.say(b"MAIL FROM:<a@example.com> SIZE=10001\r\n")
    await small.stop()

    assert answer.startswith(b"552 ")


async def test_the_largest_message_that_fits_is_taken(small: Mailbox) -> None:
    addresses = len("a@example.com") + len("b@example.org")
    body = b"x" * (10_000 - addresses - 2) + b"\r\n"
    await small.start()
    async with a_line(small) as line:
        await line.begin_data()
        assert (await line.say(body + b".\r\n")).startswith(b"250 ")
        await line.begin_data()
        assert (await line.say(b"x" + body + b".\r\n")).startswith(b"552 ")
    await small.stop()

    assert [message.raw for message in small.box.newest_first()] == [body]


async def test_too_many_recipients_are_refused_one_by_one(mailbox: Mailbox) -> None:
    async with a_line(mailbox) as line:
        await line.say(b"EHLO client.example.com\r\n")
        await line.say(b"MAIL FROM:<a@example.com>\r\n")
        for number in range(MAX_RECIPIENTS):
            assert (await line.say(b"RCPT TO:<r%d@example.org>\r\n" % number)).startswith(b"250")
        assert (await line.say(b"RCPT TO:<one.more@example.org>\r\n")).startswith(b"452 ")
        await line.say(b"DATA\r\n")
        await line.say(b"text\r\n.\r\n")

    assert len(mailbox.box.newest_first()[0].envelope.recipients) == MAX_RECIPIENTS


async def test_a_full_house_turns_clients_away_and_recovers() -> None:
    reception = Reception(Box(), max_connections=2)
    server = await start_smtp(reception.box, port=0, reception=reception)
    port = server.sockets[0].getsockname()[1]
    greetings = []
    writers = []
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        greetings.append(await reader.readline())
        writers.append(writer)

    assert [greeting[:3] for greeting in greetings] == [b"220", b"220", b"421"]
    writers[0].close()
    await eventually(lambda: len(reception.present) == 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"220")
    writers.append(writer)

    for writer in writers:
        writer.close()
    server.close()
    reception.dismiss()
    await server.wait_closed()


async def test_a_silent_client_is_cut_off() -> None:
    reception = Reception(Box(), idle_seconds=0.05)
    server = await start_smtp(reception.box, port=0, reception=reception)
    port = server.sockets[0].getsockname()[1]

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = await asyncio.wait_for(reader.read(), 10)

    assert said.startswith(b"220 ")
    assert said.count(b"\n") == 1
    writer.close()
    server.close()
    await server.wait_closed()


async def test_it_listens_on_a_socket_it_is_handed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    mailbox = Mailbox(smtp_socket=listener)
    await mailbox.start()

    assert mailbox.smtp_port == listener.getsockname()[1]
    await send(mailbox, a_letter())
    assert mailbox.box.count == 1
    await mailbox.stop()
    await mailbox.stop()


async def test_stopping_cuts_open_conversations(mailbox: Mailbox) -> None:
    async with a_line(mailbox) as line:
        await mailbox.stop()

        with pytest.raises((ConnectionError, AssertionError)):
            assert await line.hear()
