"""Secrets from files, and what a handler's child process is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from treadle.environment import child_environment, read_environment
from treadle.errors import SettingsError
from treadle.settings import parse_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env file of somebody else's."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("text", "secret"), [("s3cret\n", "s3cret"), ("s3cret", "s3cret"), (" a\n\r\n", " a\n")])
def test_a_secret_is_read_from_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, secret: str
) -> None:
    (tmp_path / "pass").write_text(text, newline="")
    monkeypatch.setenv("ADMIN_PASS_FILE", "pass")
    monkeypatch.setenv("ADMIN_USER", "ada")
    assert parse_settings(read_environment()).admin_pass == secret


def test_every_file_that_does_not_do_is_told_at_once_and_nothing_of_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"canary\xff")
    (tmp_path / "large").write_bytes(b"canary" * 20_000)
    (tmp_path / "fine").write_text("canary")
    monkeypatch.setenv("DATABASE_URL_FILE", "no/such")
    monkeypatch.setenv("REDIS_URL_FILE", "empty")
    monkeypatch.setenv("TREADLE_API_KEYS_FILE", "binary")
    monkeypatch.setenv("TREADLE_MAIL_PASSWORD_FILE", "large")
    monkeypatch.setenv("ADMIN_PASS_FILE", "fine")
    monkeypatch.setenv("ADMIN_PASS", "canary")
    with pytest.raises(SettingsError) as caught:
        read_environment()
    assert len(caught.value.problems) == 5
    assert "canary" not in str(caught.value)


def test_a_file_of_a_misspelt_name_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_APIKEYS_FILE", "x")
    with pytest.raises(SettingsError, match="TREADLE_APIKEYS_FILE: no such setting"):
        parse_settings(read_environment())


def test_a_child_is_told_no_secret_of_ours_nor_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("ADMIN_PASS", "TREADLE_API_KEYS", "TREADLE_MAIL_PASSWORD")
    for name in (*ours, *(f"{name}_FILE" for name in ours), "DATABASE_URL", "THEIR_SECRET"):
        monkeypatch.setenv(name, "x")
    told = child_environment()
    assert {"DATABASE_URL", "THEIR_SECRET"} <= told.keys()
    assert not [name for name in told if name.startswith(ours)]
