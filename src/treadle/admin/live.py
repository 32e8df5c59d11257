"""Live: a beat a second for open pages, as server-sent events, and the same by asking."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from treadle.admin.pulse import Pulse, Snapshot
from treadle.web.body import until_disconnected
from treadle.web.query import Query
from treadle.web.request import Request

MAX_STREAMS = 200
MAX_STREAMS_PER_ADDRESS = 20
RETRY_MILLISECONDS = 3000
SLOW_READER_SECONDS = 10.0
"""Who has not taken a beat for this long is let go; the page opens a new stream, or asks."""

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would keep the beats together


class Live:
    """The endpoints that say how it stands, not in HTML."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._streams: Counter[str] = Counter()

    async def stream(self, request: Request) -> Response:
        """``GET /admin/ui/live``: 503 where too many listen already; pages then ask instead."""
        Query(request).check()
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        address = request.address
        if self._streams.total() >= MAX_STREAMS or self._streams[address] >= MAX_STREAMS_PER_ADDRESS:
            return Response(status_code=503, headers={"Retry-After": "10"})
        return _Stream(self._pulse, self._streams, address)

    async def pulse(self, request: Request) -> Response:
        """``GET /admin/ui/pulse``: one beat, for pages that cannot listen."""
        Query(request).check()
        return Response(_beat(await self._pulse.snapshot()), media_type="application/json")

    async def series(self, request: Request) -> Response:
        """``GET /admin/ui/series``: the chart's columns, as uPlot takes them."""
        Query(request).check()
        points = self._pulse.points or ((await self._pulse.snapshot()).point,)
        columns = [[getattr(point, name) for point in points] for name in ("at", "waiting", "running", "failed")]
        return Response(msgspec.json.encode(columns), media_type="application/json")


def _beat(snapshot: Snapshot) -> bytes:
    return msgspec.json.encode({"version": snapshot.version, **asdict(snapshot.point)})


class _Stream(Response):
    """One open page. Nothing queues up for it: a slow reader misses beats."""

    def __init__(self, pulse: Pulse, streams: Counter[str], address: str) -> None:
        super().__init__(None, 200, _HEADERS, "text/event-stream")
        del self.headers["content-length"]
        self._pulse = pulse
        self._streams = streams
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams[self._address] += 1
        self._pulse.watch()
        leaving = asyncio.ensure_future(until_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _say(send, f"retry: {RETRY_MILLISECONDS}\n\n".encode())
            while not (leaving.done() or self._pulse.is_stopping):
                beat = asyncio.ensure_future(self._pulse.next_beat())
                await asyncio.wait((beat, leaving), return_when=asyncio.FIRST_COMPLETED)
                if not beat.done():
                    beat.cancel()
                    break
                await _say(send, _event(beat.result()))
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            pass
        finally:
            leaving.cancel()
            self._pulse.leave()
            self._streams[self._address] -= 1
            if not self._streams[self._address]:
                del self._streams[self._address]


def _event(snapshot: Snapshot | None) -> bytes:
    return b"event: lost\ndata:\n\n" if snapshot is None else b"data: " + _beat(snapshot) + b"\n\n"


async def _say(send: Send, text: bytes) -> None:
    async with asyncio.timeout(SLOW_READER_SECONDS):
        await send({"type": "http.response.body", "body": text, "more_body": True})
