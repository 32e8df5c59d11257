"""``EMAIL_SEND``: one message to up to 50 recipients. Who has it is written down before anybody is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import msgspec

from treadle import InvalidInput, Job, NonRetryable, Park, Problem, Retry, Snooze, Treadle
from treadle.builtin.address import BadAddress, parse_address
from treadle.builtin.header import has_control_character
from treadle.builtin.mail_server import MailServer
from treadle.builtin.message import build, message_id
from treadle.builtin.pool import Pool
from treadle.builtin.reply import AnswerLost, MailServerRefused, MailServerUnavailable, Reply
from treadle.builtin.smtp import Delivery

MAX_RECIPIENTS = 50
MAX_SUBJECT_CHARACTERS = 500
MAX_TEXT_BYTES = 1024 * 1024

_LARGE_CHARACTERS = 64 * 1024
"""Building a larger message takes milliseconds, which belong to the other handlers of this loop."""

_UNSURE_LEASE_SECONDS = 5.0
_MAX_NAMED = 5

_Bounds = dict[str, object]


def _bounded(description: str, example: object, bounds: _Bounds) -> msgspec.Meta:
    # In the schema alone: checked by msgspec, one bad member would hide what is wrong with the contents of the others.
    return msgspec.Meta(description=description, examples=[example], extra_json_schema=bounds)


_ADDRESS: _Bounds = {"format": "email"}
_TEXT_BOUNDS: _Bounds = {"minLength": 1, "maxLength": MAX_TEXT_BYTES}


class EmailSend(msgspec.Struct, forbid_unknown_fields=True, rename="camel", dict=True):
    """What ``EMAIL_SEND`` is given. The sender is the installation's, never the caller's."""

    to: Annotated[
        Annotated[str, msgspec.Meta(extra_json_schema=_ADDRESS)]
        | Annotated[
            list[Annotated[str, msgspec.Meta(extra_json_schema=_ADDRESS)]],
            msgspec.Meta(extra_json_schema={"minItems": 1, "maxItems": MAX_RECIPIENTS}),
        ],
        msgspec.Meta(description="One plain address, or a list of them", examples=["ada@example.com"]),
    ]
    subject: Annotated[
        str,
        _bounded(
            "On one line, without =?",
            "Your report",
            {"minLength": 1, "maxLength": MAX_SUBJECT_CHARACTERS, "format": "single-line"},
        ),
    ]
    body: Annotated[str, _bounded("Plain text, at most 1 MiB in UTF-8", "It is ready.", _TEXT_BOUNDS)]
    html: (
        Annotated[str, _bounded("The same as HTML, sent beside the text", "<p>It is ready.</p>", _TEXT_BOUNDS)] | None
    ) = None
    on_ambiguous: Annotated[
        Literal["retry", "park"],
        msgspec.Meta(
            description="What to do when the connection breaks between the message and the server's answer: send it "
            "again (a second copy is possible), or leave it to a person"
        ),
    ] = "retry"

    def __post_init__(self) -> None:
        """All problems of all members at once."""
        members = {"to": self.to, "subject": self.subject, "body": self.body, "html": self.html}
        if problems := self.content_problems(members):
            raise InvalidInput(problems)

    @classmethod
    def content_problems(cls, members: Mapping[str, Any]) -> list[Problem]:
        """What is wrong inside the members that are there, even while others are missing or of the wrong type."""
        problems: list[Problem] = []
        if "to" in members:
            problems += _recipient_problems(members["to"])
        if "subject" in members:
            problems += _subject_problems(members["subject"])
        for name in ("body", "html"):
            text = members.get(name)
            if text is not None and not 0 < len(text.encode("utf-8", "replace")) <= MAX_TEXT_BYTES:
                problems.append(Problem(f"/{name}", "length", f"expected 1 to {MAX_TEXT_BYTES} bytes of UTF-8"))
        return problems

    @cached_property
    def recipients(self) -> tuple[str, ...]:
        """The addresses, each once, in the order they were given."""
        given = [self.to] if isinstance(self.to, str) else self.to
        return tuple(dict.fromkeys(map(parse_address, given)))


class EmailSent(msgspec.Struct, rename="camel"):
    """What ``EMAIL_SEND`` answers; ``accepted`` counts the recipients whom the server took, over all attempts."""

    message_id: str
    accepted: int


class RecipientsDeferred(Exception):
    """The server asked to try some recipients later; those who have the message are written down."""


class Ledger(msgspec.Struct, omit_defaults=True):
    """The checkpoint: what is known of each recipient, over attempts and requeues."""

    sent: list[str] = msgspec.field(default_factory=list)
    unsure: list[str] = msgspec.field(default_factory=list)
    """With ``onAmbiguous: "park"``: who might have the message, since a dot was sent or was about to be."""
    refused: dict[str, str] = msgspec.field(default_factory=dict)
    """Refused for good, with the server's words. Forgotten when the job fails for it: a requeue asks again."""

    def left(self, recipients: Sequence[str]) -> list[str]:
        """Those to try now."""
        return [each for each in recipients if each not in {*self.sent, *self.unsure, *self.refused}]


def register_email_send(app: Treadle, server: MailServer) -> None:
    """Register ``EMAIL_SEND``; its connections live from the first message to the worker's end."""
    pool = Pool(server)

    @app.job("EMAIL_SEND", retry=Retry(attempts=3, base_seconds=10))
    async def email_send(payload: EmailSend, job: Job) -> EmailSent:
        return await _Sending(payload, job, server, pool).run()

    @app.on_stop
    async def close_connections() -> None:
        await pool.aclose()


class _Sending:
    """One attempt."""

    def __init__(self, payload: EmailSend, job: Job, server: MailServer, pool: Pool) -> None:
        self._payload = payload
        self._job = job
        self._server = server
        self._pool = pool
        self._parks = payload.on_ambiguous == "park"
        self._ledger = msgspec.convert(job.last_checkpoint or {}, Ledger)

    async def run(self) -> EmailSent:
        ledger, deferred = self._ledger, {}
        if left := ledger.left(self._payload.recipients):
            delivery = await self._deliver(left)
            ledger.sent += delivery.accepted
            ledger.unsure = [each for each in ledger.unsure if each not in delivery.accepted]
            ledger.refused |= {each: str(reply) for each, reply in delivery.refused.items()}
            deferred = delivery.deferred
            if deferred or self._parks:
                await self._save()
        if deferred:
            raise RecipientsDeferred(self._words("asked to try later", deferred))
        if ledger.unsure:
            raise Park(
                f"ambiguous: {self._count(ledger.unsure)} may have the message or not ({_named(ledger.unsure)}); an "
                "attempt ended between the message and the server's answer. This job will not send to them again: ask "
                "them, or submit a new one"
            )
        if ledger.refused:
            words = self._words("refused for good", ledger.refused)
            ledger.refused = {}
            await self._save()
            raise NonRetryable(words)
        return EmailSent(message_id(self._job.id, self._server.sender), len(ledger.sent))

    async def _deliver(self, left: Sequence[str]) -> Delivery:
        message = await self._message()
        try:
            async with self._pool.transaction(len(message), left) as (connection, delivery):
                if delivery.accepted:
                    note = partial(self._note, delivery.accepted) if self._parks else None
                    await connection.deliver(message, self._last_look, note)
                return delivery
        except (MailServerUnavailable, MailServerRefused) as error:
            if self._parks:
                self._ledger.unsure = [each for each in self._ledger.unsure if each not in left]
                await self._save()  # the server has not taken it, so nobody has to wonder
            if isinstance(error, MailServerRefused) and error.reply.is_never:
                raise NonRetryable(str(error)) from error
            raise
        except AnswerLost as error:
            if self._parks:
                raise Park(f"ambiguous: {error}") from error
            raise

    async def _note(self, accepted: Sequence[str]) -> None:
        """Who might have it from the dot on. Fenced: where this attempt no longer counts it raises."""
        self._ledger.unsure += accepted
        await self._save()

    def _last_look(self) -> None:
        """The last moment at which nothing has happened."""
        if not self._job.lease_valid():
            raise Snooze(_UNSURE_LEASE_SECONDS)  # somebody else may be sending it already; no budget is spent

    async def _save(self) -> None:
        note = msgspec.to_builtins(self._ledger)
        if note != (self._job.last_checkpoint or {}):
            await self._job.checkpoint(note)

    async def _message(self) -> bytes:
        payload, job = self._payload, self._job

        def make() -> bytes:
            return build(
                job_id=job.id,
                created_at=job.created_at,
                sender=self._server.sender,
                to=payload.recipients,
                subject=payload.subject,
                body=payload.body,
                html=payload.html,
            )

        is_large = len(payload.body) + len(payload.html or "") > _LARGE_CHARACTERS
        return await asyncio.to_thread(make) if is_large else make()

    def _words(self, what: str, answers: Mapping[str, Reply | str]) -> str:
        told = "; ".join(f"{each}: {answer}" for each, answer in list(answers.items())[:_MAX_NAMED])
        more = f"; and {len(answers) - _MAX_NAMED} more" if len(answers) > _MAX_NAMED else ""
        return (
            f"the mail server at {self._server.where} {what} for {self._count(answers)} ({told}{more}); "
            f"{len(self._ledger.sent)} have the message and get no second copy"
        )

    def _count(self, some: Sequence[str] | Mapping[str, object]) -> str:
        return f"{len(some)} of {len(self._payload.recipients)} recipients"


def _named(addresses: Sequence[str]) -> str:
    more = f" and {len(addresses) - _MAX_NAMED} more" if len(addresses) > _MAX_NAMED else ""
    return ", ".join(addresses[:_MAX_NAMED]) + more


def _recipient_problems(to: str | list[str]) -> list[Problem]:
    if isinstance(to, str):
        given = [("/to", to)]
    elif not to:
        return [Problem("/to", "length", "expected at least one address")]
    elif len(to) > MAX_RECIPIENTS:
        return [Problem("/to", "too_many", f"expected at most {MAX_RECIPIENTS} addresses")]
    else:
        given = [(f"/to/{index}", text) for index, text in enumerate(to)]
    problems = []
    for pointer, text in given:
        try:
            parse_address(text)
        except BadAddress as error:
            problems.append(Problem(pointer, error.code, str(error)))
    return problems


def _subject_problems(subject: str) -> list[Problem]:
    problems = []
    if has_control_character(subject):
        problems.append(Problem("/subject", "control_character", "control characters are not allowed"))
    if "=?" in subject:
        # Encoded here, it would read as it was written; but not everybody who passes a mail on decodes only once.
        problems.append(Problem("/subject", "encoded_word", "send plain text; =? begins an encoded word"))
    if not 0 < len(subject.strip()) <= len(subject) <= MAX_SUBJECT_CHARACTERS:
        problems.append(Problem("/subject", "length", f"expected 1 to {MAX_SUBJECT_CHARACTERS} characters"))
    return problems
