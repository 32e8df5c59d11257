"""The process environment and the ``.env`` file beside it: the only place that reads either."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from treadle.settings import SETTINGS

_OWN_SECRETS = {setting.env for setting in SETTINGS if setting.secret} - {"DATABASE_URL", "REDIS_URL"}


def child_environment() -> dict[str, str]:
    """The environment for a handler's child process: all but the secrets that are Treadle's alone.

    ``DATABASE_URL`` and ``REDIS_URL`` stay: they are the names that the user's own code reads.
    """
    return {name: value for name, value in os.environ.items() if name not in _OWN_SECRETS}


def read_environment(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """``.env`` in the working folder, then the environment over it, then ``overrides`` over both."""
    found = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    found.update(os.environ)
    found.update(overrides or {})
    return found
