"""``EMAIL_SEND``: one message to up to 50 recipients, of whom nobody gets a second copy."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from treadle import InvalidInput, Job, NonRetryable, Park, Problem, Retry, Treadle
from treadle.builtin.address import has_control, normalised
from treadle.builtin.message import build, dotted
from treadle.builtin.smtp import Ambiguous, CannotDeliver, Delivery, MailServer, Pool, Refused

MAX_RECIPIENTS = 50
MAX_SUBJECT = 500
MAX_BODY_BYTES = 1024 * 1024
LARGE_BYTES = 64 * 1024
"""Building a larger message takes milliseconds: done in a thread."""


class EmailSend(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The sender is MAIL_FROM, never the caller's choice."""

    to: str | list[str]
    subject: str
    body: str
    html: str | None = None
    on_ambiguous: Literal["retry", "park"] = "retry"

    def __post_init__(self) -> None:
        """Strict, and every problem at once."""
        problems = _recipient_problems(self.to)
        if has_control(self.subject):
            problems.append(Problem("/subject", "control_character", "control characters are not allowed"))
        if "=?" in self.subject:
            # The standard library decodes encoded words in what it is given (RFC 2047), line breaks in them included.
            problems.append(Problem("/subject", "encoded_word", "send plain text; =? begins an encoded word"))
        if not 0 < len(self.subject.strip()) <= len(self.subject) <= MAX_SUBJECT:
            problems.append(Problem("/subject", "length", f"expected 1 to {MAX_SUBJECT} characters"))
        for name, text in (("body", self.body), ("html", self.html)):
            if text == "" or len((text or "").encode("utf-8", "replace")) > MAX_BODY_BYTES:
                problems.append(Problem(f"/{name}", "length", f"expected 1 to {MAX_BODY_BYTES} bytes"))
        if problems:
            raise InvalidInput(problems)

    @property
    def recipients(self) -> list[str]:
        """Each once, in order, domains in ASCII."""
        listed = [self.to] if isinstance(self.to, str) else self.to
        return list(dict.fromkeys(address for text in listed if (address := normalised(text)) is not None))


class EmailResult(msgspec.Struct, rename="camel"):
    """What the job answers."""

    message_id: str
    accepted: int


def _recipient_problems(to: str | list[str]) -> list[Problem]:
    listed = [("/to", to)] if isinstance(to, str) else [(f"/to/{index}", text) for index, text in enumerate(to)]
    if not 1 <= len(listed) <= MAX_RECIPIENTS:
        code = "too_many" if listed else "length"
        return [Problem("/to", code, f"expected 1 to {MAX_RECIPIENTS} recipients")]
    problems: list[Problem] = []
    for where, text in listed:
        if has_control(text):
            problems.append(Problem(where, "control_character", "control characters are not allowed"))
        elif normalised(text) is None:
            problems.append(Problem(where, "address", "expected one plain address, as in ada@example.com"))
    return problems


def register_email_send(app: Treadle, server: MailServer) -> None:
    """Register the type, and close its connections with the worker."""
    pool = Pool(server)

    @app.job("EMAIL_SEND", retry=Retry(attempts=3, base_seconds=10))
    async def email_send(payload: EmailSend, job: Job) -> EmailResult:
        return await _Sending(payload, job, server, pool).run()

    @app.on_stop
    async def close_connections() -> None:
        await pool.aclose()


class _Sending:
    """One attempt. The checkpoint ``{"sent": [...], "sending": bool}`` outlives attempts and requeues."""

    def __init__(self, payload: EmailSend, job: Job, server: MailServer, pool: Pool) -> None:
        self._payload = payload
        self._job = job
        self._server = server
        self._pool = pool
        known = job.last_checkpoint or {}
        self._sent: list[str] = list(known.get("sent", ()))
        self._was_sending = bool(known.get("sending"))

    async def run(self) -> EmailResult:
        parks = self._payload.on_ambiguous == "park"
        if parks and self._was_sending:
            # Cleared with the parking: a requeue is a person's decision to send again.
            await self._job.checkpoint({"sent": self._sent, "sending": False})
            raise Park("ambiguous: an earlier attempt ended while the server had the message in hand")
        recipients = self._payload.recipients
        left = [address for address in recipients if address not in self._sent]
        if left:
            if parks:
                await self._job.checkpoint({"sent": self._sent, "sending": True})
            await self._settle(await self._deliver(left), parks)
        return EmailResult(f"<{self._job.id}@{self._server.sender.rpartition('@')[2]}>", len(recipients))

    async def _deliver(self, left: list[str]) -> Delivery:
        message = await self._message()
        parks = self._payload.on_ambiguous == "park"
        try:
            return await self._pool.deliver(left, message)
        except Ambiguous as error:
            if parks:
                await self._job.checkpoint({"sent": self._sent, "sending": False})
                raise Park(f"ambiguous: {error}") from error
            raise
        except (Refused, CannotDeliver) as error:
            if parks:
                await self._job.checkpoint({"sent": self._sent, "sending": False})
            if isinstance(error, Refused):
                raise NonRetryable(str(error)) from error
            raise

    async def _settle(self, delivery: Delivery, parks: bool) -> None:
        left_over = {**delivery.deferred, **delivery.refused}
        if left_over or parks:
            await self._job.checkpoint({"sent": [*self._sent, *delivery.accepted], "sending": False})
        if not left_over:
            return
        answers = "; ".join(sorted(set(left_over.values())))
        words = f"{len(left_over)} of {len(self._payload.recipients)} recipients refused: {answers}"
        if delivery.deferred:
            raise CannotDeliver(f"{words}; only those are tried again")
        raise NonRetryable(f"{words}; the others have their copy")

    async def _message(self) -> bytes:
        payload, job = self._payload, self._job

        def make() -> bytes:
            return dotted(
                build(
                    job_id=job.id,
                    created_at=job.created_at,
                    sender=self._server.sender,
                    to=payload.recipients,
                    subject=payload.subject,
                    body=payload.body,
                    html=payload.html,
                )
            )

        if len(payload.body) + len(payload.html or "") > LARGE_BYTES:
            return await asyncio.to_thread(make)
        return make()
