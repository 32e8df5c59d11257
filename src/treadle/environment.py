"""The process environment and the ``.env`` file beside it: the only place that reads either."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values


def read_environment(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """``.env`` in the working folder, then the environment over it, then ``overrides`` over both."""
    found = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    found.update(os.environ)
    found.update(overrides or {})
    return found
