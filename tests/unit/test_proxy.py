"""The fault proxy does what it was told, to the byte."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from tests.waiting import eventually
from treadle.testing.proxy import FaultProxy


class Echo:
    """Sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.port = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                self.received += data
                writer.write(data)
        except OSError:
            return
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await echo.start()
    yield echo
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    proxy = FaultProxy("127.0.0.1", echo.port)
    await proxy.start()
    yield proxy
    await proxy.aclose()


async def connect(proxy: FaultProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    return await reader.readexactly(len(data))


async def test_everything_passes(proxy: FaultProxy) -> None:
    reader, writer = await connect(proxy)

    assert await said(reader, writer, b"x" * 300_000) == b"x" * 300_000
    writer.close()


@pytest.mark.parametrize("count", [0, 1, 5, 9])
async def test_a_cut_up_lets_exactly_so_many_bytes_through(proxy: FaultProxy, echo: Echo, count: int) -> None:
    proxy.cut_after(count, "up")
    reader, writer = await connect(proxy)

    writer.write(b"0123456789")

    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    await eventually(lambda: len(echo.received) == count)


@pytest.mark.parametrize("count", [0, 1, 5, 9])
async def test_a_cut_down_lets_exactly_so_many_bytes_of_the_answer_through(
    proxy: FaultProxy, echo: Echo, count: int
) -> None:
    proxy.cut_after(count, "down")
    reader, writer = await connect(proxy)

    writer.write(b"0123456789")

    assert await reader.read() == b"0123456789"[:count]
    assert echo.received == b"0123456789"


async def test_only_one_connection_is_cut(proxy: FaultProxy) -> None:
    proxy.cut_after(3, "down")
    reader, writer = await connect(proxy)
    writer.write(b"0123456789")
    assert await reader.read() == b"012"

    assert await said(*await connect(proxy), b"0123456789") == b"0123456789"
    assert proxy.accepted == 2


async def test_every_connection_there_is_can_be_cut_at_once(proxy: FaultProxy) -> None:
    links = [await connect(proxy) for _ in range(3)]
    for reader, writer in links:
        assert await said(reader, writer, b"a") == b"a"

    proxy.cut()

    for reader, _ in links:
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)


async def test_a_delay_is_kept_each_way(proxy: FaultProxy) -> None:
    reader, writer = await connect(proxy)
    proxy.delay_seconds = 0.05
    begun = asyncio.get_running_loop().time()

    assert await said(reader, writer, b"a") == b"a"

    assert asyncio.get_running_loop().time() - begun >= 0.1


async def test_silence_holds_bytes_back_and_connections_open(proxy: FaultProxy, echo: Echo) -> None:
    reader, writer = await connect(proxy)
    assert await said(reader, writer, b"a") == b"a"
    proxy.silence("down")

    writer.write(b"b")
    await eventually(lambda: bytes(echo.received) == b"ab")
    assert not reader.at_eof()
    proxy.heal()

    assert await reader.readexactly(1) == b"b"


async def test_a_refusing_proxy_resets_and_comes_back_on_its_port(proxy: FaultProxy) -> None:
    reader, writer = await connect(proxy)
    assert await said(reader, writer, b"a") == b"a"
    port = proxy.port

    await proxy.refuse()

    with pytest.raises(ConnectionError):
        await reader.readexactly(1)
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    await proxy.start()
    assert proxy.port == port
    assert await said(*await connect(proxy), b"b") == b"b"


async def test_new_connections_go_to_the_new_upstream(proxy: FaultProxy, echo: Echo) -> None:
    other = Echo()
    server = await other.start()
    proxy.upstream = ("127.0.0.1", other.port)

    assert await said(*await connect(proxy), b"a") == b"a"

    assert (bytes(echo.received), bytes(other.received)) == (b"", b"a")
    server.close()


async def test_a_reset_of_the_server_is_passed_on() -> None:
    # As from a server that dies: who kept the client's end open would make it wait for its time-out instead.
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    proxy = FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1])
    await proxy.start()
    reader, writer = await connect(proxy)

    writer.write(b"hello")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)

    writer.close()
    await proxy.aclose()
    server.close()
