"""Which rooms a process runs: started upward, stopped downward, ended by signals."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from treadle.admin.app import routes as admin_routes
from treadle.admin.pulse import Pulse
from treadle.allocator import return_large_buffers
from treadle.api.app import create_app
from treadle.app import Treadle
from treadle.assemble import VERSION, load_apps, open_runtime, registry_of
from treadle.child import COMMAND, first_words
from treadle.duties.duties import Duties
from treadle.failpoints import arm
from treadle.hostname import HostNames
from treadle.listen import listen
from treadle.mailbox.server import Mailbox
from treadle.service.browse import Watcher
from treadle.service.submit import Submitter
from treadle.settings import Settings
from treadle.web.connection import HttpConnection
from treadle.web.guards import Guards
from treadle.web.throttle import Throttle
from treadle.worker.children import Children
from treadle.worker.pulse import kept_pulse
from treadle.worker.worker import Worker

logger = logging.getLogger("treadle.server")

HTTP_GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 5
WORN_OUT_EXIT = 70
"""EX_SOFTWARE: too many handlers never ended; a supervisor should start the process anew."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What one process runs. Duties run wherever the store is open."""

    api: bool = False
    worker: bool = False
    mailbox: bool = False


@dataclass(slots=True)
class Started:
    """What is up, for whoever prints it."""

    api_url: str | None = None
    mailbox_url: str | None = None
    smtp_address: str | None = None
    rooms: list[str] = field(default_factory=list)


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: this process has more than one server to stop, in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(
    settings: Settings, rooms: Rooms, started: Callable[[Started], None], child_environment: Mapping[str, str]
) -> int:
    """Run until a signal; the exit code. Raises ``SettingsError``, ``StoreRefused``, ``Unavailable`` at start.

    ``child_environment``: the environment of handlers' child processes.
    """
    return_large_buffers()
    arm(settings.failpoints)
    stopping = asyncio.Event()
    _on_signals(stopping)
    up = Started()
    sockets = _bind(settings, rooms)
    async with AsyncExitStack() as stack:
        if rooms.mailbox:
            await stack.enter_async_context(_mailbox(settings, sockets, up))
        worker: Worker | None = None
        if rooms.api or rooms.worker:
            worker = await _start_house(settings, rooms, sockets, stack, up, child_environment)
        started(up)
        await _until_stopped(stopping, worker)
        logger.info("stopping")
    return WORN_OUT_EXIT if worker is not None and worker.is_worn_out else 0


async def _start_house(
    settings: Settings,
    rooms: Rooms,
    sockets: dict[str, socket.socket],
    stack: AsyncExitStack,
    up: Started,
    child_environment: Mapping[str, str],
) -> Worker | None:
    apps = load_apps(settings)
    runtime = await stack.enter_async_context(open_runtime(settings, registry_of(apps), has_worker=rooms.worker))
    submitter = Submitter(runtime)
    stack.push_async_callback(submitter.aclose)
    for app in apps:
        if isinstance(app, Treadle):
            app.bind(submitter)
    duties = Duties(runtime)
    duties.start()
    stack.push_async_callback(duties.stop)
    worker: Worker | None = None
    if rooms.worker:
        children = Children(COMMAND, child_environment, first_words(settings))
        worker = Worker(runtime, VERSION, children)
        lease = worker.lease
        await stack.enter_async_context(
            kept_pulse(settings.data_dir, lambda: lease.valid_until, settings.heartbeat_seconds)
        )
        await worker.start()
        stack.push_async_callback(worker.stop, settings.grace_seconds)
        up.rooms.append("worker")
    if rooms.api:
        watcher = Watcher(runtime)
        guards = Guards(settings, Throttle(runtime.clock.rising))
        pulse = Pulse(runtime)
        api = create_app(runtime, submitter, watcher, guards, beside=admin_routes(runtime, pulse, guards))
        await stack.enter_async_context(_serve(api, sockets["api"]))
        stack.push_async_callback(watcher.aclose)
        pulse.start()
        stack.push_async_callback(pulse.stop)  # before the server, which would wait for the open pages' streams
        up.api_url = _url(settings.host, settings.api_port)
        up.rooms.append("api")
    return worker


def _bind(settings: Settings, rooms: Rooms) -> dict[str, socket.socket]:
    sockets: dict[str, socket.socket] = {}
    if rooms.api:
        sockets["api"] = listen(settings.host, settings.api_port, "API_PORT")
    if rooms.mailbox:
        host = settings.mailbox_host
        sockets["smtp"] = listen(host, settings.mailbox_smtp_port, "TREADLE_MAILBOX_SMTP_PORT")
        sockets["mailbox"] = listen(host, settings.mailbox_port, "TREADLE_MAILBOX_PORT")
    return sockets


@asynccontextmanager
async def _mailbox(settings: Settings, sockets: dict[str, socket.socket], up: Started) -> AsyncIterator[None]:
    mailbox = Mailbox(
        smtp_socket=sockets["smtp"],
        host_names=HostNames(settings.mailbox_host, settings.allowed_hosts),
        api_url=_url(settings.host, settings.api_port),
    )
    await mailbox.start()
    try:
        async with _serve(mailbox.app, sockets["mailbox"]):
            up.smtp_address = f"{settings.mailbox_host}:{settings.mailbox_smtp_port}"
            up.mailbox_url = _url(settings.mailbox_host, settings.mailbox_port)
            up.rooms.append("mailbox")
            yield
    finally:
        await mailbox.stop()


@asynccontextmanager
async def _serve(app: Any, listener: socket.socket) -> AsyncIterator[None]:
    """An HTTP server that accepts on entering and has answered what it began on leaving."""
    config = uvicorn.Config(
        app,
        http=HttpConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For would let a client choose the address its wrong passwords count for
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=HTTP_GRACE_SECONDS,
    )
    server = _HttpServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110  (uvicorn offers a flag, no event)
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            # Asked twice: whoever asks does not want to wait; leases expire and others take over.
            logger.warning("stopped at once, on the second signal")
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


async def _until_stopped(stopping: asyncio.Event, worker: Worker | None) -> None:
    while not stopping.is_set():
        if worker is not None and worker.is_worn_out:
            logger.error("too many handlers never ended; draining for a fresh start")
            return
        try:
            await asyncio.wait_for(stopping.wait(), 1.0)
        except TimeoutError:
            continue


def _url(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
