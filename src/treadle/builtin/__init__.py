"""CSV_EXPORT and EMAIL_SEND: a user's code, on the public interface of ``treadle`` and nothing below it."""

from __future__ import annotations

from treadle import Treadle
from treadle.builtin.csv_export import register_csv_export
from treadle.builtin.email_send import register_email_send
from treadle.builtin.smtp import MailServer

__all__ = ["MailServer", "create_app"]


def create_app(mail: MailServer) -> Treadle:
    """The app with both types; e-mail goes through ``mail``."""
    app = Treadle()
    register_csv_export(app)
    register_email_send(app, mail)
    return app
