"""An app whose mail goes to a port of the test's choosing, closed as a worker closes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.builtin.life import Life
from treadle import Treadle
from treadle.builtin import MailServer, create_app
from treadle.builtin.dialogue import Dialogue

SENDER = "app@example.com"


@pytest.fixture
async def new_app() -> AsyncIterator[Callable[..., Treadle]]:
    """Makes apps: ``new_app(port, **settings of MailServer)``."""
    apps: list[Treadle] = []

    def make(port: int, **settings: Any) -> Treadle:
        app = create_app(MailServer(**{"host": "127.0.0.1", "port": port, "sender": SENDER, **settings}))
        apps.append(app)
        return app

    yield make
    for app in apps:
        for hook in app.stop_hooks:
            await hook()


@pytest.fixture
def ended_dialogues(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why connections ended, as soon as their own side has noticed it."""
    ended: list[str] = []
    notice = Dialogue._end

    def end(dialogue: Dialogue, why: str) -> None:
        notice(dialogue, why)
        ended.append(why)

    monkeypatch.setattr(Dialogue, "_end", end)
    return ended


def a_mail(app: Treadle, **members: Any) -> Life:
    """A job that sends a short message to Ada unless told otherwise."""
    return Life(app, "EMAIL_SEND", {"to": "ada@example.com", "subject": "Hello", "body": "It works.\n", **members})
