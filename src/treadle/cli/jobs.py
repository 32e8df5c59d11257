"""``jobs``: what people do with jobs from a shell, over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from treadle.cli.payload import payload_of
from treadle.cli.render import print_job, print_jobs, print_json
from treadle.cli.speaking import EXIT_REFUSED, JsonOption, KeyOption, UrlOption, printable, refused, speak
from treadle.client import Client, JobRecord, JobsPage
from treadle.clock import rising_seconds
from treadle.errors import NotFinished, TreadleError, Unavailable
from treadle.states import Status

MAX_PAGE = 200
WATCH_SECONDS = 1.0
"""How long each look at a job that is waited for takes at most: progress is written once a second."""

jobs = typer.Typer(
    name="jobs",
    add_completion=False,
    help="List, show, submit, retry, cancel and bury jobs of a running server.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done, 1 the server says no, 2 usage, 69 no server or one that cannot work now.",
)

Ids = Annotated[list[str], typer.Argument(help="Ids of jobs.", metavar="ID...", show_default=False)]
Id = Annotated[str, typer.Argument(help="A job's id.", metavar="ID", show_default=False)]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many, newest first.")]


@jobs.command("list")
def list_jobs(  # noqa: PLR0913  (a name an option)
    status: Annotated[Status | None, typer.Option("--status", help="Only in this status.")] = None,
    type_name: Annotated[str | None, typer.Option("--type", help="Only of this job type.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Only of this queue.")] = None,
    priority: Annotated[str | None, typer.Option("--priority", help="high or default.")] = None,
    limit: LimitOption = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on where an earlier list ended.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> int:
    """List jobs, newest first."""
    filters = {"status": status and status.value, "type": type_name, "queue": queue, "priority": priority}
    return speak(url, key, lambda client: _print_page(_page(client, filters, limit, cursor), as_json))


@jobs.command()
def show(job_id: Id, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> int:
    """Show everything of one job, its payload too."""

    def work(client: Client) -> int:
        job = client.inspect(job_id)
        print_json(job) if as_json else print_job(job)
        return 0

    return speak(url, key, work)


@jobs.command()
def retry(job_ids: Ids, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> int:
    """Give failed, dead or cancelled jobs a new life."""
    return speak(url, key, lambda client: _each(job_ids, client.retry, as_json))


@jobs.command()
def cancel(job_ids: Ids, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> int:
    """Cancel jobs; those that run are asked to stop, and stand as processing until they do."""
    return speak(url, key, lambda client: _each(job_ids, client.cancel, as_json))


@jobs.command()
def dlq(
    job_ids: Annotated[list[str] | None, typer.Argument(help="Ids of jobs.", metavar="[ID]...")] = None,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> int:
    """Put failed or retrying jobs into the dead-letter queue; without an id, list what is in it."""

    def work(client: Client) -> int:
        if job_ids:
            return _each(job_ids, client.bury, as_json)
        return _print_page(_page(client, {"status": Status.DEAD.value}, limit, None), as_json)

    return speak(url, key, work)


@jobs.command()
def delete(
    job_ids: Ids,
    files: Annotated[bool, typer.Option("--files", help="Remove their files in output/ as well.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> int:
    """Delete final jobs for good."""

    def work(client: Client) -> int:
        def remove(job_id: str) -> str:
            removed = client.delete(job_id, files=files)
            return f"deleted, with {removed} files" if files else "deleted"

        return _each(job_ids, remove, as_json)

    return speak(url, key, work)


@jobs.command()
def erase(job_ids: Ids, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> int:
    """Erase payload, result and error texts of final jobs; the rows stay, and cannot be retried."""
    return speak(url, key, lambda client: _each(job_ids, client.erase, as_json))


@jobs.command()
def submit(  # noqa: PLR0913  (a name an option)
    type_name: Annotated[str, typer.Argument(help="A job type.", metavar="TYPE", show_default=False)],
    payload: Annotated[str, typer.Argument(help="JSON, @FILE or - for standard input.", show_default=False)],
    priority: Annotated[str, typer.Option("--priority", help="high or default.")] = "default",
    queue: Annotated[str | None, typer.Option("--queue", help="Default: the type's.")] = None,
    run_at: Annotated[str | None, typer.Option("--run-at", help="Not before, as in 2030-01-31T09:00:00Z.")] = None,
    delay_seconds: Annotated[float | None, typer.Option("--delay", help="Not before so many seconds.")] = None,
    max_attempts: Annotated[int | None, typer.Option("--max-attempts", help="1 to 25.")] = None,
    timeout_seconds: Annotated[float | None, typer.Option("--timeout", help="Seconds an attempt may run.")] = None,
    idempotency_key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key, one job.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is final; exit 1 unless completed.")] = False,
    wait_seconds: Annotated[float | None, typer.Option("--wait-seconds", min=0, help="Wait no longer.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> int:
    """Submit a job and print its id, or with --wait what became of it."""
    moment = _moment(run_at)

    def work(client: Client) -> int:
        text = payload_of(payload)
        job_id = client.submit(
            type_name,
            text,
            priority=priority,
            queue=queue,
            run_at=moment,
            delay_seconds=delay_seconds,
            max_attempts=max_attempts,
            timeout_seconds=timeout_seconds,
            idempotency_key=idempotency_key,
        )
        if not wait and wait_seconds is None:
            print_json({"jobId": job_id}) if as_json else typer.echo(job_id)
            return 0
        job = _watched(client, job_id, wait_seconds)
        print_json(job) if as_json else print_job(job)
        return 0 if job.status is Status.COMPLETED else EXIT_REFUSED

    return speak(url, key, work)


def _page(client: Client, filters: dict[str, str | None], limit: int, cursor: str | None) -> JobsPage:
    """``limit`` jobs, over as many pages as it takes."""
    found: list[JobRecord] = []
    while True:
        page = client.list_jobs(**filters, limit=min(MAX_PAGE, limit - len(found)), cursor=cursor)
        found += page.jobs
        cursor = page.next_cursor
        if cursor is None or len(found) >= limit:
            return JobsPage(tuple(found), cursor)


def _print_page(page: JobsPage, as_json: bool) -> int:
    if as_json:
        print_json(page)
        return 0
    print_jobs(page.jobs)
    if page.next_cursor is not None:
        typer.echo(f"more: --cursor {page.next_cursor}", err=True)
    return 0


def _each(job_ids: list[str], verb: Callable[[str], str], as_json: bool) -> int:
    """``verb`` on every job; one that is refused keeps no other from it."""
    code = 0
    done: list[dict[str, str]] = []
    for job_id in job_ids:
        try:
            done.append({"jobId": job_id, "status": str(verb(job_id))})
        except Unavailable:
            raise
        except TreadleError as error:
            code = refused(error, f"{printable(job_id)}: ")
    if as_json:
        print_json(done)
    else:
        for line in done:
            typer.echo(f"{line['jobId']} {line['status']}")
    return code


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter("expected a time with a zone, as in 2030-01-31T09:00:00Z", param_hint="--run-at")
    return moment


def _watched(client: Client, job_id: str, wait_seconds: float | None) -> JobRecord:
    """The job once it is final, with a bar on standard error meanwhile. Raises ``NotFinished``, naming the id."""
    ends_at = None if wait_seconds is None else rising_seconds() + wait_seconds
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    is_seen = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not is_seen) as bar:
        task = bar.add_task(job_id, total=None)
        while True:
            left_seconds = WATCH_SECONDS if ends_at is None else max(0.0, ends_at - rising_seconds())
            job = client.get(job_id, wait_seconds=min(left_seconds, WATCH_SECONDS))
            if job.is_final:
                return job
            if ends_at is not None and rising_seconds() >= ends_at:
                raise NotFinished(f"{job_id} is {job.status} after {wait_seconds:g} seconds, and goes on")
            told = job.progress
            words = "" if told is None or told.message is None else f": {printable(told.message)}"
            # Braces of a description are left alone; square brackets would be markup.
            shown = f"{job.status}{words}".replace("[", "\\[")
            if told is None:
                bar.update(task, description=shown)
            else:
                bar.update(task, description=shown, completed=told.done, total=told.total)
