"""``REDIS_URL``: what it may be, and that nothing of it is ever shown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tests.redis.conftest import LONG_SECONDS, NewDispatch, NewServer, ids
from tests.redis.test_outages import is_away
from tests.servers.redis import CERTIFICATE
from tests.waiting import eventually
from treadle.assemble import new_dispatch as assemble_dispatch
from treadle.dispatch.address import Address
from treadle.dispatch.redis import RedisDispatch
from treadle.errors import SettingsError
from treadle.jobtype import Registry
from treadle.queue import Priority
from treadle.settings import parse_settings
from treadle.testing import open_test_runtime

CANARY = "canary-4711"
TLS = ["redis"]
"""The wheel's Valkey was built without it; the client's side is the same."""


async def assert_works(dispatch: RedisDispatch) -> None:
    await dispatch.check()
    dispatch.announce("default", Priority.DEFAULT, told := ids(1))
    assert await dispatch.take(None, 1, LONG_SECONDS) == told
    assert dispatch._link.is_up


@pytest.mark.parametrize("database", ["", "/", "/0", "/3", "?db=3"])
async def test_a_database_may_be_named(new_dispatch: NewDispatch, new_server: NewServer, database: str) -> None:
    server = new_server()
    await assert_works(new_dispatch(f"redis://127.0.0.1:{server.port}{database}"))


@pytest.mark.parametrize("user", ["", "default"])
async def test_a_password_with_any_character(new_dispatch: NewDispatch, new_server: NewServer, user: str) -> None:
    server = new_server()
    with server.client() as client:
        client.config_set("requirepass", "p@ss:/#?%")
    await assert_works(new_dispatch(f"redis://{user}:p%40ss%3A%2F%23%3F%25@127.0.0.1:{server.port}/0"))


async def test_a_unix_socket(new_dispatch: NewDispatch, new_server: NewServer, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    new_server(options=["--unixsocket", str(path), "--unixsocketperm", "700"])
    await assert_works(new_dispatch(f"unix://{path}?db=1"))


@pytest.mark.parametrize("kind", TLS)
async def test_tls(new_dispatch: NewDispatch, new_server: NewServer) -> None:
    server = new_server(tls=True, password="secret")
    await assert_works(new_dispatch(f"{server.address}?ssl_ca_certs={CERTIFICATE}"))


@pytest.mark.parametrize("kind", TLS)
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("", "TLS: self-signed certificate"),
        (f"?ssl_ca_certs={CERTIFICATE.parent / 'none.pem'}", "no such file or directory"),
    ],
)
async def test_tls_that_cannot_be_trusted(
    new_dispatch: NewDispatch, new_server: NewServer, options: str, reason: str
) -> None:
    dispatch = new_dispatch(new_server(tls=True).address + options)
    await eventually(lambda: is_away(dispatch))
    assert dispatch._link.reason == reason


@pytest.mark.parametrize("kind", TLS)
@pytest.mark.parametrize("is_secured", [True, False])
async def test_tls_spoken_to_a_plain_server_and_the_other_way_round(
    new_dispatch: NewDispatch, new_server: NewServer, is_secured: bool
) -> None:
    server = new_server(tls=is_secured)
    dispatch = new_dispatch(f"redis{'' if is_secured else 's'}://127.0.0.1:{server.port}")
    await eventually(lambda: is_away(dispatch))


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{CANARY}@127.0.0.1:port",
        f"redis://:{CANARY}#1@127.0.0.1:6379",
        f"redis://:{CANARY}@127.0.0.1:6379/{CANARY}",
        f"redis://:{CANARY}@127.0.0.1:99999",
        f"redis://:{CANARY}@[::1:6379",
        f"redis://:{CANARY}@127.0.0.1:6379?db={CANARY}",
        f"redis://:{CANARY}@127.0.0.1:6379?protocol=3",
        f"redis://:{CANARY}@127.0.0.1:6379?socket_timeout=0.001",
        f"redis://:{CANARY}@127.0.0.1:6379?{CANARY}=1",
        f"rediss://:{CANARY}@127.0.0.1:6379?ssl_cert_reqs={CANARY}",
        f"redis://:{CANARY}@127.0.0.1:6379?ssl_ca_certs=x",
        f"http://:{CANARY}@127.0.0.1:6379",
    ],
)
async def test_what_is_no_address_is_refused_at_the_start_in_words_that_tell_no_secret(url: str) -> None:
    with pytest.raises(ValueError, match=r"\A[a-z]") as refused:
        Address(url)
    assert CANARY not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


async def test_a_wrong_address_is_a_settings_error_and_leaves_nothing_open(tmp_path: Path) -> None:
    url = f"redis://:{CANARY}@127.0.0.1:port"
    with pytest.raises(SettingsError, match=r"\AREDIS_URL ") as refused:
        async with open_test_runtime(Registry(), {"REDIS_URL": url}, folder=tmp_path):
            pass
    assert CANARY not in str(refused.value)


# ------------------------------------------------------------------------------------- no secret is told


class Parrot:
    """No Redis, though it sounds like one: repeats what it is told, as error replies that some servers do give."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self._answers = answers
        self.heard: list[list[str]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            while head := await reader.readline():
                words = []
                for _ in range(int(head[1:])):
                    await reader.readline()
                    words.append((await reader.readline()).decode().strip())
                self.heard.append(words)
                said = f"-ERR unknown command '{words[0]}', with args beginning with: '{' '.join(words[1:])}'\r\n"
                writer.write(self._answers.get(words[0], said.encode()))
        writer.close()


@contextlib.asynccontextmanager
async def parrot(answers: Mapping[str, bytes]) -> AsyncIterator[tuple[Parrot, int]]:
    bird = Parrot(answers)
    async with await asyncio.start_server(bird.serve, "127.0.0.1", 0) as server:
        yield bird, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "answers", [{}, {"AUTH": b"-WRONGPASS canary-4711\r\n"}, {"AUTH": b"HTTP/1.1 canary-4711\r\n"}]
)
async def test_a_server_that_repeats_the_password_puts_it_into_no_log(
    new_dispatch: NewDispatch, answers: Mapping[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with parrot(answers) as (bird, port):
        dispatch = new_dispatch(f"redis://user:{CANARY}@127.0.0.1:{port}")
        await eventually(lambda: is_away(dispatch))
        await dispatch.take(None, 1, 0.0)
        dispatch.announce("default", Priority.DEFAULT, ids(1))
        await eventually(lambda: len(bird.heard) > 1)
        await dispatch.aclose()

    assert any(CANARY in word for words in bird.heard for word in words), "it was told the password"
    ours = [record for record in caplog.records if record.name != "asyncio"]
    assert len(ours) == 1
    assert CANARY not in caplog.text
    assert CANARY not in repr(dispatch.__dict__)


def info(version: str) -> bytes:
    text = f"# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\n"
    return f"${len(text)}\r\n{text}\r\n".encode()


async def test_an_old_redis_is_told_plainly_and_given_nothing(
    new_dispatch: NewDispatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = {"CLIENT": b"+OK\r\n", "INFO": info("6.2.14"), "RPUSHX": b":0\r\n", "RPUSH": b":1\r\n"}
    async with parrot(answers) as (bird, port):
        dispatch = new_dispatch(f"redis://127.0.0.1:{port}")
        await eventually(lambda: is_away(dispatch))
        dispatch.announce("default", Priority.DEFAULT, ids(1))
        heard = len(bird.heard)
        await eventually(lambda: len(bird.heard) > heard + 3)
        await dispatch.aclose()

    assert not any(words[0] == "RPUSH" for words in bird.heard)
    assert "it is Redis 6.2.14: 7.0 or newer, or Valkey, is needed" in caplog.text


async def test_a_user_who_may_not_ask_for_the_version_is_served(
    new_dispatch: NewDispatch, new_server: NewServer
) -> None:
    server = new_server()
    with server.client() as client:
        client.acl_setuser(
            "worker", enabled=True, keys=["shop:*"], passwords=["+s"],
            commands=["-@all", "+rpush", "+rpushx", "+blmpop"],
        )  # fmt: skip
    await assert_works(new_dispatch(f"redis://worker:s@127.0.0.1:{server.port}", prefix="shop:"))


# --------------------------------------------------------------------------------------------- assembly


async def test_settings_choose_the_lists(new_server: NewServer) -> None:
    server = new_server()
    settings = {"REDIS_URL": server.address, "TREADLE_REDIS_PREFIX": "shop:"}
    async with open_test_runtime(Registry(), settings, has_worker=False) as runtime:
        runtime.dispatch.announce("default", Priority.HIGH, told := ids(1))
        with server.client() as client:
            await eventually(lambda: client.lrange("shop:queue:high_priority", 0, -1) == [told[0].encode()])


async def test_it_is_reached_before_anybody_needs_it(new_server: NewServer) -> None:
    server = new_server()
    async with open_test_runtime(Registry(), {"REDIS_URL": server.address}, has_worker=False):
        with server.client() as client:
            await eventually(lambda: client.info("clients")["connected_clients"] >= 2)


async def test_no_store_and_no_redis_is_asked_without_the_setting() -> None:
    async with open_test_runtime(Registry()) as runtime:
        dispatch = assemble_dispatch(parse_settings({}), runtime.store, runtime.metrics, has_worker=True)
        assert not isinstance(dispatch, RedisDispatch)
        await dispatch.aclose()
