"""``bench``: how fast the user's own installation is."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
import uvloop

from treadle.cli.loading import load_settings
from treadle.cli.measure.connection import Target
from treadle.cli.measure.own import measure_own
from treadle.cli.measure.remote import measure_remote
from treadle.cli.measure.report import Report, print_report
from treadle.cli.measure.screen import Screen
from treadle.cli.payload import payload_of
from treadle.cli.render import print_json
from treadle.cli.speaking import EXIT_REFUSED, JsonOption, KeyOption, key_of, login_of, refused
from treadle.errors import InvalidInput, TreadleError
from treadle.settings import Settings
from treadle.wire import JobDraft, write_submission

NOTE = (
    "Submissions are made by this command, in Python on this machine: the CPU it needs is part of every figure, and"
    " its share of one core stands beside it."
)

Jobs = Annotated[int, typer.Option("--jobs", min=1, max=10_000_000, help="How many in bulk, and one by one at most.")]
Slots = Annotated[
    int | None, typer.Option("--slots", min=1, max=1000, help="Of the worker. Default: TREADLE_CONCURRENCY.")
]
Url = Annotated[str | None, typer.Option("--url", help="A running server: only submission to it.", metavar="URL")]
Type = Annotated[
    str | None, typer.Option("--type", help="With --url: submit this, and let it run. Default: a job that never runs.")
]
Payload = Annotated[
    str | None, typer.Option("--payload", help="Its payload: JSON, @FILE or - for standard input. Default: {}.")
]


def bench(
    jobs: Jobs = 20_000,
    slots: Slots = None,
    as_json: JsonOption = False,
    url: Url = None,
    type_name: Type = None,
    payload: Payload = None,
    key: KeyOption = None,
) -> int:
    """Measure this installation's speed: submission, drain and latency, on its own database and Redis.

    It starts an API and a worker of its own with a queue of their own, and deletes its jobs afterwards.
    """
    settings = load_settings()
    if url is None:
        for name, value in {"--type": type_name, "--payload": payload, "--key": key}.items():
            if value is not None:
                raise typer.BadParameter("goes with --url", param_hint=name)
        with Screen() as screen:
            report = _run(measure_own(settings, jobs, slots or settings.concurrency, screen))
    else:
        if slots is not None:
            raise typer.BadParameter("is the server's to say where --url names one", param_hint="--slots")
        job = _job(type_name, payload)
        target = _target(settings, url, key)
        try:
            with Screen() as screen:
                report = _run(measure_remote(target, job, jobs, screen))
        except TreadleError as error:
            return refused(error)
    if report is None:
        sys.stderr.write(f"treadle: stopped; {'its jobs are taken back' if type_name is None else 'its jobs stay'}\n")
        return EXIT_REFUSED
    report.notes.append(NOTE)
    print_json(report) if as_json else print_report(report)
    return 0


def _run(work: Coroutine[Any, Any, Report]) -> Report | None:
    """What ``work`` returns; ``None`` where it was told to stop, and has."""

    async def main() -> Report:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (a coroutine that runs has one)
        loop = asyncio.get_running_loop()
        # SIGINT too: a shell that starts this in the background has it ignored.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        return await work

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return None


def _job(type_name: str | None, payload: str | None) -> bytes | None:
    """The body of a submission; ``None`` where none is asked for."""
    if type_name is None:
        if payload is not None:
            raise typer.BadParameter("goes with --type", param_hint="--payload")
        return None
    try:
        return write_submission(JobDraft(type_name, payload_of("{}" if payload is None else payload)))
    except InvalidInput as error:
        raise typer.BadParameter(error.problems[0].detail, param_hint="--payload") from None


def _target(settings: Settings, url: str, key: str | None) -> Target:
    try:
        return Target(url.rstrip("/"), key_of(settings, key), login_of(settings))
    except InvalidInput as error:
        problem = error.problems[0]
        raise typer.BadParameter(problem.detail, param_hint=f"--{problem.pointer.strip('/').split('_')[-1]}") from None
