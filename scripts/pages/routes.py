"""Every route, from the route tables: a door that nobody has described stops the page from being made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast
from unittest.mock import MagicMock

from starlette.routing import Route

from treadle.admin.app import doors as admin_doors
from treadle.api.app import doors
from treadle.api.operations import OPERATIONS
from treadle.mailbox.app import create_app as create_mailbox
from treadle.mailbox.box import Box

Words = Mapping[str, str]


def _plain(path: str) -> str:
    return path.replace("{job_id}", "{id}").replace("{message_id}", "{id}").replace(":path}", "}")


API: Words = {f"{method} {_plain(path)}": told.summary for (method, path), told in OPERATIONS.items()}

ADMIN: Words = {
    "GET /admin/ui": "the overview",
    "GET /admin/ui/": "leads to the overview",
    "GET /admin/ui/jobs": "jobs, with filters in the address",
    "GET /admin/ui/jobs/{id}": "one job",
    "GET /admin/ui/jobs/{id}/file": "its file",
    "POST /admin/ui/jobs/{id}/retry": "the button",
    "POST /admin/ui/jobs/{id}/dlq": "the button",
    "POST /admin/ui/jobs/{id}/cancel": "the button",
    "GET /admin/ui/queues": "queues",
    "POST /admin/ui/queues/{name}/pause": "the button",
    "POST /admin/ui/queues/{name}/resume": "the button",
    "GET /admin/ui/workers": "workers",
    "GET /admin/ui/dead": "dead letters",
    "POST /admin/ui/dead/replay": "the button",
    "GET /admin/ui/live": "the beat that refreshes a page, as server-sent events",
    "GET /admin/ui/pulse": "the four tiles, as JSON",
    "GET /admin/ui/series": "the chart's numbers, as JSON",
    "GET /admin/ui/static/{version}/{name}": "style sheets and scripts",
}

MAILBOX: Words = {
    "GET /": "the mails, newest first",
    "POST /delete-all": "the button",
    "GET /messages/{id}": "one mail",
    "GET /messages/{id}/html": "its HTML, in a frame that runs nothing",
    "GET /messages/{id}/raw": "as it came",
    "POST /messages/{id}/delete": "the button",
    "GET /api/v2/messages": "a page of mails, in MailHog's shape; `start`, `limit`",
    "GET /api/v2/search": "those that match; `kind` is `from`, `to` or `containing`, and `query`",
    "GET /api/v1/messages": "all mails",
    "DELETE /api/v1/messages": "delete all mails",
    "GET /api/v1/messages/{id}": "one mail",
    "DELETE /api/v1/messages/{id}": "delete it",
    "GET /static/mailbox.css": "its style sheet",
    "GET /static/mailbox.svg": "its sign",
    "GET /live": "whether the process answers",
}

GUARDS = {"key": "API key", "admin": "admin login", "metrics": "admin login, or the metrics token", "public": ""}


def routes_page() -> str:
    """Raises ``ValueError`` where a route has no words, or words have no route."""
    nobody: Any = MagicMock()  # the tables are read; nothing is asked
    api = {f"{door.method} {_plain(door.path)}": GUARDS[door.guard] for door in doors(nobody, nobody, nobody)}
    admin = {f"{door.method} {_plain(door.path)}": GUARDS[door.guard] for door in admin_doors(*[nobody] * 4)}
    lines = [
        "# Every route",
        "",
        "Generated from the route tables by `make docs`; do not edit. [HTTP](http.md) says what goes in and comes out,",
        "[Errors](errors.md) what may go wrong. A `GET` route answers `HEAD` too. What one needs it needs where",
        "`TREADLE_API_KEYS`, `ADMIN_USER` and `ADMIN_PASS`, or `TREADLE_METRICS_TOKEN` are set.",
        "",
        "## The API",
        "",
        "On `API_PORT`.",
        "",
        *_table(api, API),
        "",
        "## The admin page",
        "",
        "On the same port, for browsers. [The admin page](admin.md) shows what it is for; these addresses may change.",
        "",
        *_table(admin, ADMIN),
        "",
        "## The mailbox",
        "",
        "On `TREADLE_MAILBOX_PORT`, for development alone. What is under `/api` has the shape of MailHog's.",
        "",
        *_table(dict.fromkeys(_mailbox(), ""), MAILBOX),
        "",
    ]
    return "\n".join(lines)


def _mailbox() -> Iterable[str]:
    for route in cast("list[Route]", create_mailbox(Box()).routes):
        for method in sorted((route.methods or {"GET"}) - {"HEAD"}):
            yield f"{method} {_plain(route.path)}"


def _table(guards: Mapping[str, str], words: Words) -> list[str]:
    if set(guards) != set(words):
        raise ValueError(f"say in scripts/pages/routes.py what these are: {sorted(set(guards) ^ set(words))}")
    needs = any(guards.values())
    head = ["| route | what | needs |", "|---|---|---|"] if needs else ["| route | what |", "|---|---|"]
    return head + [f"| `{name}` | {words[name]} |" + (f" {guards[name]} |" if needs else "") for name in guards]
