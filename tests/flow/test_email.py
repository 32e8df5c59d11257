"""EMAIL_SEND from end to end: what arrives, how often, and what happens while the mail server is away."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack
from tests.servers.ports import free_ports

SUBJECT = "Grüße – 你好 ✓"
BODY = "First line\n.\n..two dots\n.hidden\nüñí\n"


def items(stack: Stack) -> list[dict[str, Any]]:
    answer = stack.client.get(f"{stack.mail_url}/api/v2/messages")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_an_email_arrives_once_and_byte_right_for_both_recipients(dev: Stack) -> None:
    payload = {"to": ["ada@example.com", "bob@example.org"], "subject": SUBJECT, "body": BODY}

    job = dev.finish(dev.submit("EMAIL_SEND", payload))

    assert job["status"] == "completed", job
    [item] = items(dev)
    headers = item["Content"]["Headers"]
    assert headers["Subject"][0] == SUBJECT
    assert headers["To"][0] == "ada@example.com, bob@example.org"
    assert headers["Message-ID"][0] == f"<{job['id']}@example.com>"
    assert item["Raw"]["To"] == ["ada@example.com", "bob@example.org"]
    raw = dev.client.get(f"{dev.mail_url}/messages/{item['ID']}/raw").content
    assert b"\n" not in raw.replace(b"\r\n", b"")
    received = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(received, EmailMessage)
    assert received.get_content().replace("\r\n", "\n") == BODY


def test_with_the_mail_server_away_it_fails_after_three_attempts_and_completes_after_a_requeue(
    new_stack: NewStack,
) -> None:
    stack = new_stack({"TREADLE_RETRY_BASE_SECONDS": "0.02"})
    stack.start("api")
    stack.start("worker")

    failed = stack.finish(stack.submit("EMAIL_SEND", {"to": "ada@example.com", "subject": "s", "body": "b"}))

    assert (failed["status"], failed["attempts"], failed["failures"]) == ("failed", 3, 3)
    assert [error["attempt"] for error in failed["errors"]] == [1, 2, 3]
    for helpful in (f"127.0.0.1:{stack.smtp_port}", "MAIL_HOST", "MAIL_PORT"):
        assert helpful in failed["error"]
    assert failed["id"] in [job["id"] for job in stack.client.get("/admin/failed").json()["jobs"]]

    stack.start("mailbox")
    answer = stack.client.post(f"/admin/jobs/{failed['id']}/retry")
    assert answer.status_code == 200, answer.text
    job = stack.finish(failed["id"])
    assert (job["status"], job["attempts"], job["failures"]) == ("completed", 4, 0)
    assert [item["Content"]["Headers"]["Subject"][0] for item in items(stack)] == ["s"]


class Greylisting:
    """Refuses one recipient for now, until it is told to take everybody."""

    def __init__(self) -> None:
        self.refused_for_now = "later@example.com"
        self.refusals = 0
        self.delivered: list[list[str]] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == self.refused_for_now:
            self.refusals += 1
            if self.refusals < 2:
                return "450 4.2.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.delivered.append(list(envelope.rcpt_tos))
        return "250 OK"


@pytest.fixture
def greylisting() -> Iterator[tuple[Greylisting, int]]:
    handler = Greylisting()
    [port] = free_ports(1)
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


def test_a_recipient_refused_for_now_gets_it_later_and_the_other_one_never_twice(
    new_stack: NewStack, greylisting: tuple[Greylisting, int]
) -> None:
    sink, port = greylisting
    stack = new_stack({"MAIL_PORT": str(port), "TREADLE_RETRY_BASE_SECONDS": "0.02"})
    stack.start("api")
    stack.start("worker")
    to = ["now@example.com", "later@example.com"]

    job = stack.finish(stack.submit("EMAIL_SEND", {"to": to, "subject": "s", "body": "b"}))

    assert (job["status"], job["attempts"]) == ("completed", 2)
    assert sink.delivered == [["now@example.com"], ["later@example.com"]]
