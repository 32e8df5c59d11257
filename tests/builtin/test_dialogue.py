from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.builtin.dialogue import Dialogue
from treadle.builtin.reply import Reply, printable

TEXTS = st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20), min_size=1, max_size=4)
REPLIES = st.lists(st.tuples(st.integers(200, 599).filter(lambda code: code != 421), TEXTS), max_size=6)


class Wire(asyncio.Transport):
    """A transport that leads nowhere, with as much room as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.unsent_bytes = 0
        self.is_aborted = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.is_aborted

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def abort(self) -> None:
        self.is_aborted = True


class HandClock(asyncio.SelectorEventLoop):
    """A loop whose time the test sets."""

    seconds = 0.0

    def time(self) -> float:
        return self.seconds


def run(test: Callable[[Dialogue, Wire], None]) -> None:
    async def inside() -> None:
        wire = Wire()
        test(Dialogue(wire), wire)

    asyncio.run(inside())


async def a_turn() -> None:
    """Let whatever is ready on the loop run."""
    loop = asyncio.get_running_loop()
    turned = loop.create_future()
    loop.call_soon(turned.set_result, None)
    await turned


def taken(dialogue: Dialogue) -> list[Reply]:
    return list(iter(dialogue.take, None))


def on_the_wire(replies: Sequence[tuple[int, Sequence[str]]], end: str) -> bytes:
    lines = [
        f"{code}{'-' if number < len(texts) else ' '}{text}{end}"
        for code, texts in replies
        for number, text in enumerate(texts, 1)
    ]
    return "".join(lines).encode()


@given(REPLIES, st.sampled_from(["\r\n", "\n"]), st.lists(st.integers(0, 400), max_size=8))
def test_replies_are_the_same_however_the_network_parts_them(
    replies: list[tuple[int, list[str]]], end: str, cuts: list[int]
) -> None:
    data = on_the_wire(replies, end)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]

    def test(dialogue: Dialogue, _: Wire) -> None:
        for start, stop in zip(places, places[1:], strict=False):
            dialogue.data_received(data[start:stop])

        assert taken(dialogue) == [Reply(code, printable("\n".join(map(str.strip, texts)))) for code, texts in replies]
        assert dialogue.is_open

    run(test)


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"250 ok\r\n", b"250-", b"\n", b"421 "]), max_size=8))
def test_whatever_a_server_says_it_is_a_reply_or_the_end(pieces: list[bytes]) -> None:
    def test(dialogue: Dialogue, _: Wire) -> None:
        for piece in pieces:
            dialogue.data_received(piece)

        assert all(len(str(reply)) <= 304 and str(reply).isprintable() for reply in taken(dialogue))
        assert dialogue.is_open or 0 < len(dialogue.why) < 400

    run(test)


@pytest.mark.parametrize(
    "said",
    [b"x" * 40_000, b"250-more\r\n" * 4_000, b"250 ok\r\n" * 300, b"oops\r\n", b"\r\n", b"25\r\n", b"+50 ok\r\n"],
)
def test_who_speaks_no_smtp_or_without_end_is_not_listened_to(said: bytes) -> None:
    def test(dialogue: Dialogue, _: Wire) -> None:
        dialogue.data_received(said)
        assert not dialogue.is_open
        before = len(taken(dialogue))
        dialogue.data_received(b"250 ok\r\n")

        assert before <= 300
        assert taken(dialogue) == []

    run(test)


def test_after_421_nothing_is_waited_for() -> None:
    async def inside() -> None:
        dialogue = Dialogue(Wire())
        dialogue.data_received(b"250 ok\r\n421 closing\r\n")
        await dialogue.replies(4, 600)

        assert [reply.code for reply in taken(dialogue)] == [250, 421]
        assert not dialogue.is_open

    asyncio.run(inside())


def test_patience_begins_anew_with_each_reply_and_ends_where_none_comes() -> None:
    loop = HandClock()

    async def inside() -> None:
        dialogue = Dialogue(Wire())
        waiting = asyncio.create_task(dialogue.replies(3, 60))
        for now in (50, 100):
            await a_turn()
            loop.seconds = now
            dialogue.data_received(b"250 ok\r\n")
        await a_turn()
        loop.seconds = 159
        await a_turn()
        assert (dialogue.is_open, waiting.done()) == (True, False)
        loop.seconds = 160
        await waiting

        assert len(taken(dialogue)) == 2
        assert dialogue.why == "no answer within 60 s"

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(inside())


def test_a_shorter_wait_after_a_longer_one_is_not_kept_waiting() -> None:
    loop = HandClock()

    async def inside() -> None:
        dialogue = Dialogue(Wire())
        waiting = asyncio.create_task(dialogue.replies(1, 600))
        await a_turn()
        dialogue.data_received(b"250 ok\r\n")
        await waiting
        waiting = asyncio.create_task(dialogue.replies(2, 5))
        await a_turn()
        loop.seconds = 5
        await waiting

        assert dialogue.why == "no answer within 5 s"

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(inside())


@pytest.mark.parametrize("how", ["room", "reply", "lost"])
def test_who_waits_for_room_is_woken_by_it_by_a_reply_and_by_the_end(how: str) -> None:
    async def inside() -> None:
        wire = Wire()
        dialogue = Dialogue(wire)
        wire.unsent_bytes = 1
        waiting = asyncio.create_task(dialogue.room(60))
        await a_turn()
        assert not waiting.done()
        if how == "room":
            wire.unsent_bytes = 0
            dialogue.resume_writing()
        elif how == "reply":
            dialogue.data_received(b"552 too much\r\n")
        else:
            dialogue.connection_lost(ConnectionResetError(104, "reset"))
        await waiting

        assert dialogue.why == ("reset" if how == "lost" else "")

    asyncio.run(inside())


def test_nothing_is_written_to_a_connection_that_is_over() -> None:
    def test(dialogue: Dialogue, wire: Wire) -> None:
        dialogue.write(b"a")
        dialogue.eof_received()
        dialogue.write(b"b")
        assert wire.sent == b"a"
        dialogue.close()
        assert wire.is_aborted
        assert dialogue.why == "it hung up"

    run(test)
