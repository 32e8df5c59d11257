"""The built-in job types, written as a user would write them: on ``import treadle`` and nothing below it."""

from __future__ import annotations

from treadle import Treadle
from treadle.builtin.csv_export import register_csv_export
from treadle.builtin.email_send import register_email_send
from treadle.builtin.mail_server import MailServer

__all__ = ["MailServer", "create_app"]


def create_app(mail: MailServer) -> Treadle:
    """An app with ``CSV_EXPORT`` and ``EMAIL_SEND``; the latter sends through ``mail``."""
    app = Treadle()
    register_csv_export(app)
    register_email_send(app, mail)
    return app
