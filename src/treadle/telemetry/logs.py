"""Log lines: their fields, and their two shapes.

Readable on a terminal, one JSON object a line otherwise. Text that came from outside is escaped, so one event
is one line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

FIELDS = ("job", "type", "attempt", "worker", "queue", "status", "duty", "request", "seconds", "count")
"""The structured fields of a log line, in the order they are shown."""

_COLOURS = {"DEBUG": "\x1b[2m", "INFO": "", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}


def one_line(text: str) -> str:
    """``text`` with every control character escaped: nothing in a log line can start another or drive a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class _TextFormatter(logging.Formatter):
    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        name = record.name.removeprefix("treadle.")
        fields = " ".join(f"{key}={one_line(_text_of(value))}" for key, value in _fields(record).items())
        line = f"{at} {record.levelname.lower():7} {name:10} {one_line(record.getMessage())}"
        line = f"{line}  {fields}" if fields else line
        if self._colour and (paint := _COLOURS.get(record.levelname, "")):
            line = f"{paint}{line}\x1b[0m"
        if record.exc_info is None:
            return line
        # Indented and escaped line by line: an exception's own text starts no line that looks like another event.
        traceback = self.formatException(record.exc_info).split("\n")
        return "\n".join([line, *(f"  {one_line(part)}" for part in traceback)])


# JSON lets them stand as they are; many readers end a line at one, and a terminal takes C1 for commands.
_LINE_ENDS_AND_C1 = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return self._json(record).translate(_LINE_ENDS_AND_C1)

    def _json(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info is not None:
            told["exception"] = self.formatException(record.exc_info)
        try:
            return msgspec.json.encode(told, enc_hook=str).decode()
        except Exception:
            # Half a surrogate pair, or a value that cannot be shown: no line is lost for what it tells.
            plain = {key: value if isinstance(value, int | float) else _text_of(value) for key, value in told.items()}
            return msgspec.json.encode(plain).decode()


def _text_of(value: object) -> str:
    """``value`` as valid text; total."""
    try:
        text = str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "replace").decode()


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return {key: getattr(record, key) for key in FIELDS if getattr(record, key, None) is not None}


def start_logging(level: str, form: str) -> None:
    """Send everything of level ``level`` and above to standard error, as ``text``, ``json`` or what ``auto`` finds."""
    is_terminal = sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    as_text = form == "text" or (form == "auto" and is_terminal)
    handler.setFormatter(_TextFormatter(colour=is_terminal) if as_text else _JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These speak of every connection; what matters of them is said by our own lines.
    for noisy in ("uvicorn.access", "uvicorn.error", "mail.log", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


class FieldsAdapter(logging.LoggerAdapter[logging.Logger]):
    """A logger whose lines all carry the given fields; a call's own ``extra`` is added to them."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """See ``logging.LoggerAdapter.process``."""
        return msg, {**kwargs, "extra": {**(self.extra or {}), **(kwargs.get("extra") or {})}}
