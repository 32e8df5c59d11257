"""``smoke``: the whole path once, from outside, on a stack of its own or on a running one."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import secrets
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from treadle.cli.processes import free_ports, started, wait_until_up

JOB_SECONDS = 30.0

Url = Annotated[str | None, typer.Option("--url", help="API of a running stack; without it, one is started.")]
MailUrl = Annotated[str | None, typer.Option("--mail-url", help="Its mailbox, as http://127.0.0.1:8025.")]
Output = Annotated[Path | None, typer.Option("--output", help="Its output folder, to look at the files too.")]
Key = Annotated[str | None, typer.Option("--key", help="An API key, if it wants one.", envvar="SMOKE_API_KEY")]
Login = Annotated[str | None, typer.Option("--admin", help="USER:PASSWORD of /admin.", envvar="SMOKE_ADMIN")]


class _Failed(Exception):
    pass


def smoke(
    url: Url = None, mail_url: MailUrl = None, output: Output = None, key: Key = None, admin: Login = None
) -> int:
    """Submit a CSV export and an e-mail, and see both arrive. Exit 0 when every step did, else 1."""
    console = Console(highlight=False)
    if url is not None:
        return _walk(console, _Stack(url, mail_url, output, key, admin))
    with _own_stack() as stack:
        return _walk(console, stack)


class _Stack:
    """A running Treadle, seen from outside."""

    def __init__(self, url: str, mail_url: str | None, output: Path | None, key: str | None, admin: str | None) -> None:
        self.url = url.rstrip("/")
        self.mail_url = mail_url.rstrip("/") if mail_url is not None else None
        self.output = output
        self._key = key
        self._admin = admin

    def call(self, method: str, address: str, body: Any = None) -> tuple[int, bytes]:
        """One HTTP request; status and body whatever the status is."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._admin is not None and "/admin/" in address:
            headers["Authorization"] = "Basic " + base64.b64encode(self._admin.encode()).decode()
        elif self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=JOB_SECONDS + 5) as answer:  # noqa: S310
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def submit(self, body: dict[str, Any]) -> str:
        """A job's id."""
        status, answer = self.call("POST", f"{self.url}/jobs", body)
        if status != 201:
            raise _Failed(f"POST /jobs answered {status}: {answer[:300].decode(errors='replace')}")
        return str(json.loads(answer)["jobId"])

    def finish(self, job_id: str) -> dict[str, Any]:
        """The job once it is final."""
        deadline = time.monotonic() + JOB_SECONDS
        while True:
            status, answer = self.call("GET", f"{self.url}/jobs/{job_id}?wait=10")
            job: dict[str, Any] = json.loads(answer) if status == 200 else {}
            if job.get("status") in {"completed", "failed", "dead", "cancelled"}:
                return job
            if time.monotonic() > deadline:
                raise _Failed(f"job {job_id} is {job.get('status', f'unreadable ({status})')} after {JOB_SECONDS:g} s")


def _walk(console: Console, stack: _Stack) -> int:
    steps: list[tuple[str, Callable[[_Stack], str]]] = [
        ("health", _health),
        ("CSV_EXPORT", _csv_export),
        ("EMAIL_SEND", _email_send),
        ("bad input is refused", _bad_input),
        ("admin list", _admin),
    ]
    failures = 0
    for name, step in steps:
        try:
            console.print(f"[green]ok[/green]    {name}: {step(stack)}")
        except (_Failed, OSError, ValueError, KeyError) as error:
            failures += 1
            console.print(f"[red]FAILED[/red] {name}: {error}", markup=True)
    console.print("smoke test passed" if not failures else f"smoke test failed: {failures} of {len(steps)} steps")
    return 1 if failures else 0


def _health(stack: _Stack) -> str:
    status, answer = stack.call("GET", f"{stack.url}/health")
    if status != 200:
        raise _Failed(f"GET /health answered {status}: {answer[:300].decode(errors='replace')}")
    return "200"


def _csv_export(stack: _Stack) -> str:
    rows = [{"id": 1, "name": 'Zoë "Z"'}, {"id": 2, "name": "=1+1", "note": "a,b"}]
    job = stack.finish(stack.submit({"type": "CSV_EXPORT", "priority": "high", "payload": {"data": rows}}))
    if job["status"] != "completed":
        raise _Failed(f"the job is {job['status']}: {job['error']}")
    status, answer = stack.call("GET", f"{stack.url}/jobs/{job['id']}/result")
    read = list(csv.reader(io.StringIO(answer.decode())))
    if status != 200 or read != [["id", "name", "note"], ["1", 'Zoë "Z"', ""], ["2", "'=1+1", "a,b"]]:
        raise _Failed(f"GET /jobs/{{id}}/result answered {status} with other rows than were sent")
    if stack.output is not None and (stack.output / f"{job['id']}.csv").read_bytes() != answer:
        raise _Failed("the file in the output folder is another one")
    return f"{job['id']}.csv, {len(answer)} bytes"


def _email_send(stack: _Stack) -> str:
    subject = f"Smoke test {secrets.token_hex(4)} ✓"
    payload = {"to": "smoke@example.com", "subject": subject, "body": "It works."}
    job = stack.finish(stack.submit({"type": "EMAIL_SEND", "payload": payload}))
    if job["status"] != "completed":
        raise _Failed(f"the job is {job['status']}: {job['error']}")
    if stack.mail_url is None:
        return "sent (no --mail-url: not looked for)"
    _, answer = stack.call("GET", f"{stack.mail_url}/api/v2/messages")
    subjects = [item["Content"]["Headers"]["Subject"][0] for item in json.loads(answer)["items"]]
    if subjects.count(subject) != 1:
        raise _Failed(f"the mailbox holds {subjects.count(subject)} messages with the subject that was sent")
    return "arrived once"


def _bad_input(stack: _Stack) -> str:
    status, answer = stack.call("POST", f"{stack.url}/jobs", {"type": "NO_SUCH_TYPE", "priority": "low"})
    if status != 400:
        raise _Failed(f"a bad job was answered with {status}")
    return f"400 with {len(json.loads(answer)['errors'])} errors named"


def _admin(stack: _Stack) -> str:
    status, answer = stack.call("GET", f"{stack.url}/admin/jobs?limit=10")
    if status != 200:
        raise _Failed(f"GET /admin/jobs answered {status}; is --admin USER:PASSWORD needed?")
    return f"{len(json.loads(answer)['jobs'])} jobs listed"


@contextmanager
def _own_stack() -> Iterator[_Stack]:
    """``treadle dev`` on free ports in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="treadle-smoke-") as folder:
        api, smtp, page = free_ports(3)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TREADLE_", "ADMIN_"))}
        environment |= {
            "API_PORT": str(api),
            "MAIL_HOST": "127.0.0.1",
            "MAIL_PORT": str(smtp),
            "TREADLE_MAILBOX_SMTP_PORT": str(smtp),
            "TREADLE_MAILBOX_PORT": str(page),
        }
        environment.pop("DATABASE_URL", None)
        with started("dev", environment, folder=Path(folder)) as process:
            stack = _Stack(f"http://127.0.0.1:{api}", f"http://127.0.0.1:{page}", Path(folder) / "output", None, None)
            wait_until_up(process, stack.url)
            yield stack
