"""Which rooms a process runs: started upward, stopped downward, ended by signals.

The rooms that speak HTTP are imported by processes that run them: a worker is 10 MB lighter without their libraries.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from treadle.allocator import return_large_buffers
from treadle.app import Treadle
from treadle.assemble import VERSION, load_apps, open_runtime, registry_of
from treadle.child import COMMAND, first_words
from treadle.collector import spare_what_stays
from treadle.duties.duties import Duties
from treadle.failpoints import arm
from treadle.hostname import HostNames
from treadle.listen import listen
from treadle.service.browse import Watcher
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter
from treadle.settings import Settings
from treadle.siblings import Place
from treadle.telemetry.shared import PUT_SECONDS, SharedCounts, Told
from treadle.worker.children import Children
from treadle.worker.pulse import kept_pulse
from treadle.worker.worker import Worker

logger = logging.getLogger("treadle.server")

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
    metrics_url: str | None = None
    rooms: list[str] = field(default_factory=list)


async def run(
    settings: Settings,
    rooms: Rooms,
    started: Callable[[Started], None],
    child_environment: Mapping[str, str],
    *,
    place: Place | None = None,
) -> int:
    """Run until a signal; the exit code. Raises ``SettingsError``, ``StoreRefused``, ``Unavailable`` at start.

    ``child_environment``: the environment of handlers' child processes. ``place``: among others that
    serve the same port, and that their parent (``siblings``) stops all together.
    """
    return_large_buffers()
    arm(settings.failpoints)
    stopping = asyncio.Event()
    _on_signals(stopping, is_last_word=place is None)
    up = Started()
    sockets = _bind(settings, rooms, shared=place is not None)
    async with AsyncExitStack() as stack:
        if rooms.mailbox:
            await stack.enter_async_context(_mailbox(settings, sockets, up))
        worker: Worker | None = None
        if rooms.api or rooms.worker:
            worker = await _start_house(settings, rooms, sockets, stack, up, child_environment, place)
        spare_what_stays()
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
    place: Place | None,
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
        await _start_api(runtime, submitter, sockets["api"], stack, place)
        up.api_url = url_of(settings.host, settings.api_port)
        up.rooms.append("api")
    elif "metrics" in sockets:
        await _start_metrics(runtime, sockets["metrics"], stack)
        up.metrics_url = url_of(settings.metrics_host, sockets["metrics"].getsockname()[1])
    return worker


async def _start_metrics(runtime: Runtime, listener: socket.socket, stack: AsyncExitStack) -> None:
    from treadle.api.app import create_metrics_app
    from treadle.httpserver import serve
    from treadle.web.guards import Guards
    from treadle.web.throttle import Throttle

    guards = Guards(runtime.settings, Throttle(runtime.clock.rising))
    await stack.enter_async_context(serve(create_metrics_app(runtime, guards), listener))


async def _start_api(
    runtime: Runtime, submitter: Submitter, listener: socket.socket, stack: AsyncExitStack, place: Place | None
) -> None:
    from treadle.admin.app import routes as admin_routes
    from treadle.admin.pulse import Pulse
    from treadle.api.app import create_app
    from treadle.httpserver import serve
    from treadle.web.guards import Guards
    from treadle.web.throttle import Throttle

    watcher = Watcher(runtime)
    guards = Guards(runtime.settings, Throttle(runtime.clock.rising))
    pulse = Pulse(runtime)
    tell: Callable[[], Told] | None = None
    if place is not None:
        counts = SharedCounts(runtime.metrics, place.shelf, place.number)
        await stack.enter_async_context(_putting(counts))
        tell = counts.tell
    beside = admin_routes(runtime, pulse, guards)
    api = create_app(runtime, submitter, watcher, guards, beside=beside, tell=tell)
    await stack.enter_async_context(serve(api, listener))
    stack.push_async_callback(watcher.aclose)
    pulse.start()
    stack.push_async_callback(pulse.stop)  # before the server, which would wait for the open pages' streams


@asynccontextmanager
async def _putting(counts: SharedCounts) -> AsyncIterator[None]:
    async def put() -> None:
        while True:
            counts.put()
            await asyncio.sleep(PUT_SECONDS)

    putting = asyncio.create_task(put())
    try:
        yield
    finally:
        putting.cancel()
        counts.put()  # for who takes its place, where it alone ends


def _bind(settings: Settings, rooms: Rooms, *, shared: bool) -> dict[str, socket.socket]:
    sockets: dict[str, socket.socket] = {}
    if rooms.api:
        sockets["api"] = listen(settings.host, settings.api_port, "API_PORT", shared=shared)
    elif rooms.worker and settings.metrics_port is not None:
        sockets["metrics"] = listen(settings.metrics_host, settings.metrics_port, "TREADLE_METRICS_PORT")
    if rooms.mailbox:
        host = settings.mailbox_host
        sockets["smtp"] = listen(host, settings.mailbox_smtp_port, "TREADLE_MAILBOX_SMTP_PORT")
        sockets["mailbox"] = listen(host, settings.mailbox_port, "TREADLE_MAILBOX_PORT")
    return sockets


@asynccontextmanager
async def _mailbox(settings: Settings, sockets: dict[str, socket.socket], up: Started) -> AsyncIterator[None]:
    from treadle.httpserver import serve
    from treadle.mailbox.server import Mailbox

    mailbox = Mailbox(
        smtp_socket=sockets["smtp"],
        host_names=HostNames(settings.mailbox_host, settings.allowed_hosts),
        api_url=url_of(settings.host, settings.api_port),
    )
    await mailbox.start()
    try:
        async with serve(mailbox.app, sockets["mailbox"]):
            up.smtp_address = f"{settings.mailbox_host}:{settings.mailbox_smtp_port}"
            up.mailbox_url = url_of(settings.mailbox_host, settings.mailbox_port)
            up.rooms.append("mailbox")
            yield
    finally:
        await mailbox.stop()


def _on_signals(stopping: asyncio.Event, *, is_last_word: bool) -> None:
    """``is_last_word``: a second signal ends the process. A sibling hears the same one from its parent and, where it
    is sent to all of a terminal or a service, once more from there: only the parent counts them.
    """
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set() and is_last_word:
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


def url_of(host: str, port: int) -> str:
    """The address of what listens there."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
