"""The process environment, the ``.env`` file beside it, files that hold secrets: the only place that reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from treadle.errors import SettingsError
from treadle.settings import FILE_SUFFIX, SETTINGS

_SECRETS = {setting.env for setting in SETTINGS if setting.secret}
_OWN_SECRETS = _SECRETS - {"DATABASE_URL", "REDIS_URL"}
_NOT_FOR_CHILDREN = _OWN_SECRETS | {name + FILE_SUFFIX for name in _OWN_SECRETS}

MAX_SECRET_BYTES = 64 * 1024


def child_environment() -> dict[str, str]:
    """The environment for a handler's child process: all but the secrets that are Treadle's alone.

    ``DATABASE_URL`` and ``REDIS_URL`` stay: they are the names that the user's own code reads.
    """
    return {name: value for name, value in os.environ.items() if name not in _NOT_FOR_CHILDREN}


def read_environment(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """``.env`` in the working folder, then the environment over it, then ``overrides`` over both.

    For each secret, a name with ``_FILE`` behind it names the file that holds it, as container platforms hand secrets
    over; the line break at its end is not part of it. Raises ``SettingsError``.
    """
    found = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    found.update(os.environ)
    found.update(overrides or {})
    problems: list[str] = []
    for name in sorted(_SECRETS):
        file = found.pop(name + FILE_SUFFIX, "")
        if not file:
            continue
        if found.get(name):
            problems.append(f"{name} and {name}{FILE_SUFFIX} are both set: set one of them")
        elif (text := _text_of(Path(file))) is None:
            problems.append(f"{name}{FILE_SUFFIX}={file[:80]!r}: expected a file of text that can be read")
        else:
            found[name] = text
    if problems:
        raise SettingsError(problems)
    return found


def _text_of(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_SECRET_BYTES + 1)
        text = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError):
        return None
    return text if 0 < len(data) <= MAX_SECRET_BYTES and "\0" not in text else None
