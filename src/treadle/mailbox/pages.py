"""The mailbox for people: a list, one message, and its HTML where it can do no harm.

No JavaScript, so there is none to be tricked; all that changes something is a form.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from treadle.mailbox.box import Box, search
from treadle.mailbox.guard import MAIL_POLICY
from treadle.mailbox.markup import Html, Templates, join
from treadle.mailbox.message import Message, rfc3339
from treadle.mailbox.mime import Part

PAGE_ROWS = 50
MAX_SHOWN_CHARACTERS = 200_000
"""Of a text on a page: a browser lays out more only slowly, and the raw message has it all."""
_SHOWN_RECIPIENTS = 3
_NUMBER = re.compile(r"[0-9]{1,9}")


class Pages:
    """The handlers. ``api_url`` is where the empty page's example sends its job."""

    def __init__(self, box: Box, api_url: str) -> None:
        self._box = box
        self._api_url = api_url
        self._templates = Templates()

    def routes(self) -> list[Route]:
        """Everything that is HTML, and the raw message."""
        return [
            Route("/", self.index),
            Route("/delete-all", self.delete_all, methods=["POST"]),
            Route("/messages/{message_id}", self.show),
            Route("/messages/{message_id}/html", self.mail_html),
            Route("/messages/{message_id}/raw", self.raw),
            Route("/messages/{message_id}/delete", self.delete, methods=["POST"]),
        ]

    async def index(self, request: Request) -> Response:
        """The list, newest first; ``q`` narrows it, ``start`` turns the page."""
        wanted = request.query_params.get("q", "").strip()
        start = _number(request.query_params.get("start", "0"))
        messages = self._box.newest_first()
        if wanted:
            messages = await asyncio.to_thread(search, messages, "containing", wanted)
        base = base_of(request)
        if not messages:
            name = "nothing_found" if wanted else "empty"
            content = self._fill(name, base=base, wanted=wanted, api_url=self._api_url)
        else:
            shown = messages[start : start + PAGE_ROWS]
            content = self._fill(
                "list",
                rows=join([self._row(base, message) for message in shown]),
                turning=self._turning(base, wanted, start, len(messages)),
            )
        return self.page(
            base,
            title="Treadle mailbox",
            content=join([self._bar(base, wanted, len(messages)), content]),
        )

    async def show(self, request: Request) -> Response:
        """One message: who, what, its text, its HTML in a frame without rights, its headers."""
        message = self._message(request)
        part = await asyncio.to_thread(message.parsed)
        view = await asyncio.to_thread(View.of, part)
        base = base_of(request)
        here = f"{base}/messages/{message.id}"
        content = self._fill(
            "message",
            base=base,
            here=here,
            subject=message.subject or "(no subject)",
            facts=join([self._fact(name, value) for name, value in _facts(message, part)]),
            body=join(self._bodies(here, view)),
            headers=join([self._fact(name, value) for name, value in part.headers]),
            header_count=len(part.headers),
        )
        title = f"{message.subject or '(no subject)'} – Treadle mailbox"
        return self.page(base, title=title, content=content)

    async def mail_html(self, request: Request) -> Response:
        """The HTML alternative, in an origin of its own and without rights."""
        message = self._message(request)
        view = await asyncio.to_thread(lambda: View.of(message.parsed()))
        if view.html is None:
            raise HTTPException(404, "This message has no HTML part.")
        return HTMLResponse(
            view.html,
            headers={"Content-Security-Policy": MAIL_POLICY, "X-Frame-Options": "SAMEORIGIN"},
        )

    async def raw(self, request: Request) -> Response:
        """The bytes as received. Always shown as text; saved, it is a file that mail programs open."""
        message = self._message(request)
        return Response(
            message.raw,
            media_type="text/plain",
            headers={"Content-Disposition": f'inline; filename="{message.id}.eml"'},
        )

    async def delete(self, request: Request) -> Response:
        """Delete one; it may be gone already."""
        self._box.delete(request.path_params["message_id"])
        return RedirectResponse(base_of(request) + "/", 303)

    async def delete_all(self, request: Request) -> Response:
        """Empty the box."""
        self._box.delete_all()
        return RedirectResponse(base_of(request) + "/", 303)

    def page(self, base: str, *, title: str, content: Html, status: int = 200) -> Response:
        """A whole page around ``content``."""
        return HTMLResponse(self._fill("page", base=base, title=title, content=content), status)

    def error(self, base: str, status: int, detail: str) -> Response:
        """A page that says what is wrong."""
        content = self._fill("error", base=base, detail=detail)
        return self.page(base, title="Treadle mailbox", content=content, status=status)

    def _message(self, request: Request) -> Message:
        message = self._box.get(request.path_params["message_id"])
        if message is None:
            raise HTTPException(404, "There is no such message. It may have been deleted.")
        return message

    def _fill(self, name: str, /, **values: object) -> Html:
        return self._templates.fill(name, **values)

    def _fact(self, name: str, value: str) -> Html:
        return self._fill("fact", name=name, value=value)

    def _bar(self, base: str, wanted: str, found: int) -> Html:
        box = self._box
        tally = _plural(box.count, "message")
        if wanted:
            tally = f"{found:,} of {tally}"
        dropped = ""
        if box.dropped_total:
            dropped = (
                f"{_plural(box.dropped_total, 'older message')} dropped: this box keeps "
                f"{box.max_messages:,} messages, {_bytes(box.max_bytes)}."
            )
        # With nothing in the box there is nothing to find. And beside a search's result "Delete all" would
        # be taken for "delete all of these".
        finding = self._fill("finding", base=base, wanted=wanted) if box.count else Html()
        deletion = self._fill("delete_all", base=base) if box.count and not wanted else Html()
        return self._fill(
            "bar",
            base=base,
            tally=tally,
            dropped=dropped,
            finding=finding,
            again="Show all" if wanted else "Refresh",
            deletion=deletion,
        )

    def _row(self, base: str, message: Message) -> Html:
        recipients = message.envelope.recipients
        to = ", ".join(recipients[:_SHOWN_RECIPIENTS])
        more = len(recipients) - _SHOWN_RECIPIENTS
        return self._fill(
            "row",
            base=base,
            id=message.id,
            sender=message.header_from or message.envelope.sender or "(no sender)",
            to=f"{to} and {more:,} more" if more > 0 else to,
            subject=message.subject or "(no subject)",
            moment=rfc3339(message.created_at),
            when=_when(message),
            size=_bytes(len(message.raw)),
        )

    def _turning(self, base: str, wanted: str, start: int, total: int) -> Html:
        """Newer and older, where there are any."""
        if total <= PAGE_ROWS and not start:
            return Html()
        newer = older = Html()
        if start > 0:
            newer = self._turn(base, wanted, max(0, start - PAGE_ROWS), "prev", "← Newer")
        if start + PAGE_ROWS < total:
            older = self._turn(base, wanted, start + PAGE_ROWS, "next", "Older →")
        last = min(start + PAGE_ROWS, total)
        place = f"{start + 1:,}–{last:,} of {total:,}" if start < total else "past the last one"
        return self._fill("turning", newer=newer, older=older, place=place)

    def _turn(self, base: str, wanted: str, start: int, rel: str, label: str) -> Html:
        query = urlencode({"q": wanted, "start": start} if wanted else {"start": start})
        return self._fill("turn", base=base, query=query, rel=rel, label=label)

    def _bodies(self, here: str, view: View) -> list[Html]:
        bodies: list[Html] = []
        if view.text is not None:
            note = ""
            if len(view.text) > MAX_SHOWN_CHARACTERS:
                note = f"Only the first {MAX_SHOWN_CHARACTERS:,} characters are shown here."
            text = view.text[:MAX_SHOWN_CHARACTERS]
            bodies.append(self._fill("text", text=text or "(empty)", note=note))
        if view.html is not None:
            bodies.append(self._fill("html", here=here))
        if view.attachments:
            items = [
                self._fill("attachment", name=name, kind=kind, size=_bytes(size))
                for name, kind, size in view.attachments
            ]
            bodies.append(self._fill("attachments", items=join(items)))
        return bodies


@dataclass(frozen=True, slots=True)
class View:
    """What of a message is shown: its first text, its first HTML, and the names of everything else."""

    text: str | None
    html: str | None
    attachments: tuple[tuple[str, str, int], ...]

    @classmethod
    def of(cls, message: Part) -> View:
        """Read off the parsed message. A multipart in which nothing was found is shown as it came."""
        leaves = [leaf for leaf in message.leaves() if leaf.size]
        if not leaves:
            return cls(message.text(), None, ())
        text = _first(leaves, "text/plain")
        html = _first(leaves, "text/html")
        if text is None and html is None and leaves == [message]:
            text = message  # a kind we do not know, alone: still better seen than not
        rest = [leaf for leaf in leaves if leaf is not text and leaf is not html]
        return cls(
            None if text is None else text.text(),
            None if html is None else html.text(),
            tuple((leaf.filename or "(no name)", leaf.content_type, leaf.size) for leaf in rest),
        )


def base_of(request: Request) -> str:
    """The path this application is mounted below, for links."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _first(leaves: list[Part], content_type: str) -> Part | None:
    fitting = (leaf for leaf in leaves if leaf.content_type == content_type and not leaf.is_attachment)
    return next(fitting, None)


def _facts(message: Message, part: Part) -> list[tuple[str, str]]:
    told = ("from", "to", "cc", "reply-to", "date")
    facts = [(name, value) for name, value in part.headers if name.lower() in told]
    facts.append(("Envelope from", message.envelope.sender or "(none)"))
    facts.append(("Envelope to", ", ".join(message.envelope.recipients)))
    facts.append(("Received", _when(message) + " UTC"))
    facts.append(("Size", _bytes(len(message.raw))))
    return facts


def _when(message: Message) -> str:
    return message.created_at.strftime("%Y-%m-%d %H:%M:%S")


def _number(text: str) -> int:
    """A page's number; nonsense is the first page, for a person has nothing from an error here."""
    return int(text) if _NUMBER.fullmatch(text) else 0


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _bytes(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    size, unit = (count / 1024, "KiB") if count < 1024**2 else (count / 1024**2, "MiB")
    return f"{size:.1f} {unit}" if size < 100 else f"{size:.0f} {unit}"
