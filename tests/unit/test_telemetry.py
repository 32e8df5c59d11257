from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from treadle.telemetry.logs import FIELDS, FieldsAdapter, one_line, start_logging

HOSTILE = {
    "line ends": "a\r\nERROR forged=1\n",
    "ANSI": "\x1b[2J\x1b]0;title\x07",
    "NUL": "a\0b",
    "C1 controls": "\x9b31m\x85",
    "Unicode line ends": "a\u2028b\u2029c",
    "right to left": "\u202egpj.exe",
    "half a surrogate pair": "a\ud800b\udfff",
    "delete": "\x7f",
    "quotes": '"},{"level":"error"',
    "percent signs": "%s %d %(x)s",
    "braces": "{x}",
}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """The root logger of the test run, as it was."""
    root = logging.getLogger()
    names = ("uvicorn.access", "mail.log", "asyncio", "treadle.room")
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in names}
    level = root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


def written(monkeypatch: pytest.MonkeyPatch, form: str, *, level: str = "info", terminal: bool = False) -> io.StringIO:
    stream = _Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    start_logging(level, form)
    return stream


def log() -> logging.Logger:
    return logging.getLogger("treadle.room")


def only_json_line(stream: io.StringIO) -> dict[str, Any]:
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == len(text.splitlines()) == 1
    assert "\r" not in text
    assert "\x1b" not in text
    assert "\0" not in text
    text.encode("utf-8")  # whatever reads it need not know of half surrogates
    told: dict[str, Any] = json.loads(text)
    return told


# ------------------------------------------------------------------------------ JSON


def test_a_json_line_says_when_what_and_who(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(monkeypatch, "json")

    log().warning("took %d jobs", 3)

    told = only_json_line(stream)
    assert told["level"] == "warning"
    assert told["logger"] == "treadle.room"
    assert told["message"] == "took 3 jobs"
    assert told["at"].endswith("+00:00")
    assert set(told) == {"at", "level", "logger", "message"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_one_valid_json_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    stream = written(monkeypatch, "json")

    log().info("got %s", HOSTILE[name], extra={"type": HOSTILE[name], "queue": [HOSTILE[name]]})

    told = only_json_line(stream)
    expected = HOSTILE[name].encode("utf-8", "replace").decode()
    assert told["message"] == f"got {expected}"
    assert told["type"] == expected


def test_every_field_is_told_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(monkeypatch, "json")
    fields = {name: f"the {name}" for name in FIELDS}

    log().info("x", extra={**fields, "payload": "SECRET", "worker": None})

    told = only_json_line(stream)
    assert {name: told[name] for name in FIELDS if name != "worker"} == {
        name: value for name, value in fields.items() if name != "worker"
    }
    assert "worker" not in told
    assert "payload" not in told


class _Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    [2**70, float("nan"), float("inf"), b"\xff", object(), {"a": {1, 2}}, {1: 2}, _Unprintable()],
)
def test_a_field_of_any_type_costs_no_line(monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    stream = written(monkeypatch, "json")

    log().info("still told", extra={"count": value})

    assert only_json_line(stream)["message"] == "still told"


def test_an_exception_is_a_member_of_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(monkeypatch, "json")

    try:
        raise ValueError("bad\n\x1b[2J\ud800")
    except ValueError:
        log().exception("failed")

    told = only_json_line(stream)
    assert "Traceback" in told["exception"]
    assert "ValueError: bad" in told["exception"]


# ------------------------------------------------------------------------------ text


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("terminal", [False, True])
def test_a_hostile_message_is_one_line_that_drives_no_terminal(
    monkeypatch: pytest.MonkeyPatch, name: str, terminal: bool
) -> None:
    stream = written(monkeypatch, "text", terminal=terminal)

    log().info("got %s", HOSTILE[name], extra={"type": HOSTILE[name]})

    line = stream.getvalue().removesuffix("\n")
    assert line.isprintable()
    assert "got " in line
    assert "type=" in line


def test_a_text_line_shows_time_level_room_message_and_fields_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = written(monkeypatch, "text")

    log().info("took %d jobs", 3, extra={"count": 3, "job": "j1", "attempt": 2})

    at, rest = stream.getvalue().split(" ", 1)
    assert len(at) == len("12:00:00.000")
    assert rest == "info    room       took 3 jobs  job=j1 attempt=2 count=3\n"


def test_the_traceback_of_a_hostile_exception_drives_no_terminal_and_forges_no_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = written(monkeypatch, "text", terminal=True)

    try:
        raise ValueError("bad\n12:00:00.000 error   room       forged\x1b[2J\r\u2028x")
    except ValueError:
        log().error("failed", exc_info=True)

    first, *others = stream.getvalue().removesuffix("\n").split("\n")
    assert "failed" in first
    assert "ValueError: bad" in "\n".join(others)
    for line in others:
        assert line.isprintable()
        assert line.startswith("  ")


def test_levels_are_coloured_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = written(monkeypatch, "text", terminal=True)
    log().error("x")
    plain = written(monkeypatch, "text")
    log().error("x")

    assert terminal.getvalue().startswith("\x1b[31m")
    assert terminal.getvalue().endswith("\x1b[0m\n")
    assert "\x1b" not in plain.getvalue()


def test_a_level_that_somebody_invented_costs_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(monkeypatch, "text", terminal=True)

    log().log(25, "between info and warning")

    assert stream.getvalue().count("\n") == 1
    assert "between info and warning" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ü 漢 😀", "plain ü 漢 😀"),
        ("", ""),
        ("a\tb\nc", "a\\tb\\nc"),
        ("\x1b", "\\x1b"),
        ("\u2028\u202e", "\\u2028\\u202e"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_one_line_escapes_what_is_not_printable(text: str, expected: str) -> None:
    assert one_line(text) == expected


# ------------------------------------------------------------------------------ starting


@pytest.mark.parametrize(("terminal", "is_json"), [(False, True), (True, False)])
def test_auto_is_text_on_a_terminal_and_json_otherwise(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, is_json: bool
) -> None:
    stream = written(monkeypatch, "auto", terminal=terminal)

    log().info("x")

    assert stream.getvalue().startswith("{") is is_json


def test_what_is_less_important_than_the_level_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = written(monkeypatch, "text", level="warning")

    log().info("unimportant")
    log().warning("important")

    assert "unimportant" not in stream.getvalue()
    assert "important" in stream.getvalue()


def test_starting_twice_writes_every_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(monkeypatch, "json")
    start_logging("info", "json")

    log().info("x")

    only_json_line(stream)


@pytest.mark.parametrize("level", ["debug", "info", "error"])
def test_servers_that_speak_of_every_connection_are_quieted(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    written(monkeypatch, "json", level=level)

    for name in ("uvicorn.access", "mail.log", "asyncio"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)


# ------------------------------------------------------------------------------ adapter


def test_a_logger_with_fields_tells_them_in_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(monkeypatch, "json")
    adapter = FieldsAdapter(log(), {"job": "j1", "attempt": 1})

    adapter.info("x", extra={"attempt": 2, "seconds": 0.5})

    told = only_json_line(stream)
    assert (told["job"], told["attempt"], told["seconds"]) == ("j1", 2, 0.5)


@pytest.mark.parametrize("extra", [None, {}])
def test_a_call_without_fields_of_its_own_tells_the_adapters(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, object] | None
) -> None:
    stream = written(monkeypatch, "json")

    FieldsAdapter(log(), {"job": "j1"}).info("x", extra=extra)

    assert only_json_line(stream)["job"] == "j1"
