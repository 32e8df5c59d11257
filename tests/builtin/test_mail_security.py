from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest

from tests.builtin.conftest import a_mail
from tests.builtin.sink import CERTIFICATE, a_raw_sink, a_sink
from treadle import NonRetryable, Treadle
from treadle.builtin import MailServer
from treadle.builtin.reply import MailServerUnavailable

NewApp = Callable[..., Treadle]
LOGIN: dict[str, Any] = {"username": "app", "password": "right"}


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_and_login_travel_encrypted(new_app: NewApp, security: str) -> None:
    async with a_sink(login=security == "starttls", **{security: True}) as sink:
        login = LOGIN if security == "starttls" else {}
        await a_mail(new_app(sink.port, security=security, tls_context=trusting(), **login)).attempt()

        assert sink.is_encrypted == [True]
        assert sink.logins == ([(b"app", b"right")] if login else [])


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_refused_before_login_and_message(
    new_app: NewApp, security: str
) -> None:
    async with a_sink(login=security == "starttls", **{security: True}) as sink:
        with pytest.raises(MailServerUnavailable, match=r"(?i)certificate.*TREADLE_MAIL_SECURITY"):
            await a_mail(new_app(sink.port, security=security, **LOGIN)).attempt()

        assert sink.logins == []
        assert sink.kept == []


async def test_a_certificate_for_another_host_is_refused(new_app: NewApp) -> None:
    async with a_sink(starttls=True) as sink:
        app = new_app(sink.port, host="localhost", security="starttls", tls_context=trusting())
        with pytest.raises(MailServerUnavailable, match="(?i)hostname mismatch"):
            await a_mail(app).attempt()

        assert sink.kept == []


async def test_a_server_that_offers_no_encryption_gets_neither_login_nor_mail(new_app: NewApp) -> None:
    async with a_raw_sink() as sink:
        app = new_app(sink.port, security="starttls", tls_context=trusting(), **LOGIN)
        with pytest.raises(MailServerUnavailable, match="STARTTLS.*not supported.*TREADLE_MAIL_SECURITY"):
            await a_mail(app).attempt()

        assert {"AUTH", "MAIL"}.isdisjoint(sink.verbs)


async def test_on_this_machine_a_login_needs_no_encryption(new_app: NewApp) -> None:
    async with a_sink(login=True) as sink:
        await a_mail(new_app(sink.port, **LOGIN)).attempt()

        assert sink.logins == [(b"app", b"right")]
        assert len(sink.kept) == 1


async def test_a_wrong_password_fails_at_once_and_is_not_shown(new_app: NewApp) -> None:
    async with a_sink(login=True) as sink:
        app = new_app(sink.port, username="app", password="wr0ng")
        with pytest.raises(NonRetryable, match="refused the login .*TREADLE_MAIL_PASSWORD.*535") as caught:
            await a_mail(app).attempt()

        assert "wr0ng" not in str(caught.value)
        assert sink.kept == []


def test_a_password_is_not_part_of_what_is_printed() -> None:
    server = MailServer(host="localhost", port=25, sender="app@example.com", **LOGIN)

    assert "right" not in repr(server)


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert MailServer(host="::1", port=25, sender="app@example.com").where == "[::1]:25"
