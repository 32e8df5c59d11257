"""A web application with one form; the mail is a job's work."""

import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

from treadle import InvalidInput, Overloaded, Treadle, Unavailable

jobs = Treadle()


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    form = parse_qs(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode())
    status, text = sign_up(form.get("email", [""])[0])
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode() + b"\n"]


def sign_up(email: str) -> tuple[str, str]:
    mail = {"to": email, "subject": f"Welcome, {email}", "body": "Good to have you here."}
    try:
        return "202 Accepted", jobs.submit_sync("EMAIL_SEND", mail, idempotency_key=f"welcome {email}")
    except InvalidInput as error:
        return "400 Bad Request", str(error)
    except (Unavailable, Overloaded):
        return "503 Service Unavailable", "Please try again in a moment."


if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
