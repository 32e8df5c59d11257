"""The stream of beats: who gets one, what it holds, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from starlette.types import ASGIApp, Message

from tests.admin.conftest import Admin
from tests.api.asgi import GONE, HOST, call, piece
from tests.waiting import eventually
from treadle.admin import pulse as pulses
from treadle.admin.live import MAX_STREAMS_PER_ADDRESS
from treadle.errors import Unavailable


class Listener:
    """One open page."""

    def __init__(self, app: ASGIApp) -> None:
        self.leave = asyncio.Event()
        self.told: list[Message] = []
        self.task = asyncio.ensure_future(self._listen(app))

    async def _listen(self, app: ASGIApp) -> None:
        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "path": "/admin/ui/live", "root_path": "",
            "raw_path": b"/admin/ui/live", "query_string": b"", "headers": [HOST], "client": ("127.0.0.1", 1),
        }  # fmt: skip

        async def receive() -> Message:
            await self.leave.wait()
            return GONE

        async def send(message: Message) -> None:
            self.told.append(message)

        await app(scope, receive, send)

    @property
    def status(self) -> int:
        return int(self.told[0]["status"]) if self.told else 0

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.told[1:]).decode()

    @property
    def beats(self) -> list[dict[str, Any]]:
        lines = [line.removeprefix("data: ") for line in self.text.splitlines() if line.startswith("data: {")]
        return [msgspec.json.decode(line) for line in lines]


NewListener = Callable[[], Listener]


@pytest.fixture
async def listen(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NewListener]:
    monkeypatch.setattr(pulses, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(pulses, "POINT_SECONDS", 0.1)
    admin.pulse.start()
    made: list[Listener] = []

    def new() -> Listener:
        made.append(Listener(admin.app))
        return made[-1]

    yield new
    for listener in made:
        listener.leave.set()
    await asyncio.gather(*(listener.task for listener in made))


async def test_a_beat_tells_how_it_stands_and_when_that_changed(admin: Admin, listen: NewListener) -> None:
    listener = listen()
    await eventually(lambda: len(listener.beats) >= 3)
    assert listener.text.startswith("retry: 3000\n\n")
    assert listener.beats[0]["waiting"] == 0
    assert listener.beats[0]["version"] == listener.beats[2]["version"]

    await admin.job()

    await eventually(lambda: listener.beats[-1]["waiting"] == 1)
    assert listener.beats[-1]["version"] > listener.beats[2]["version"]


async def test_a_page_that_is_left_gives_its_place_back(admin: Admin, listen: NewListener) -> None:
    listeners = [listen() for _ in range(MAX_STREAMS_PER_ADDRESS)]
    await eventually(lambda: all(listener.beats for listener in listeners))
    refused = listen()
    await eventually(lambda: refused.status == 503)

    listeners[0].leave.set()
    await listeners[0].task

    again = listen()
    await eventually(lambda: bool(again.beats))


async def test_streams_end_when_the_server_stops(admin: Admin, listen: NewListener) -> None:
    listener = listen()
    await eventually(lambda: bool(listener.beats))

    await admin.pulse.stop()

    await asyncio.wait_for(listener.task, 10)
    assert listener.told[-1] == {"type": "http.response.body", "body": b""}


async def test_a_store_that_is_gone_is_told(admin: Admin, listen: NewListener, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = listen()
    await eventually(lambda: bool(listener.beats))

    async def gone() -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(admin.runtime.store, "counts", gone)
        await eventually(lambda: "event: lost" in listener.text)
    heard = len(listener.beats)

    await eventually(lambda: len(listener.beats) > heard)


async def test_an_action_is_seen_at_once_and_loses_nobody(admin: Admin, listen: NewListener) -> None:
    listener = listen()
    await eventually(lambda: bool(listener.beats))

    for _ in range(20):
        admin.pulse.expire()
        heard = len(listener.beats)
        await eventually(lambda heard=heard: len(listener.beats) > heard)  # type: ignore[misc]

    assert "event: lost" not in listener.text


async def test_a_reader_after_a_change_never_sees_what_was_before(admin: Admin) -> None:
    for waiting in range(1, 4):
        await admin.job()
        assert (await admin.pulse.snapshot()).point.waiting == waiting


async def test_one_look_serves_everybody(admin: Admin, listen: NewListener, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    count = admin.runtime.store.counts

    async def counted() -> Any:
        nonlocal looks
        looks += 1
        return await count()

    monkeypatch.setattr(admin.runtime.store, "counts", counted)
    listeners = [listen() for _ in range(10)]

    await eventually(lambda: all(len(listener.beats) >= 5 for listener in listeners))

    most = max(len(listener.beats) for listener in listeners)
    assert looks <= most + 2


async def test_the_chart_has_its_columns(admin: Admin, listen: NewListener) -> None:
    await admin.job()
    await eventually(lambda: len(admin.pulse.points) >= 3)

    columns = (await admin.client.get("/admin/ui/series")).json()

    assert len(columns) == 4
    assert columns[0] == sorted(columns[0])
    assert columns[1][-1] == 1


async def test_pages_can_ask_instead(admin: Admin) -> None:
    await admin.job()

    beat = (await admin.client.get("/admin/ui/pulse")).json()

    assert (beat["waiting"], beat["running"], beat["failed"]) == (1, 0, 0)


async def test_a_head_request_is_no_stream(admin: Admin) -> None:
    told = await asyncio.wait_for(call(admin.app, "HEAD", "/admin/ui/live", (piece(),)), 10)

    assert told.status == 200
