"""How every command comes by its settings."""

from __future__ import annotations

from treadle.environment import read_environment
from treadle.settings import Settings, parse_settings
from treadle.telemetry.logs import start_logging


def load_settings(app: str | None = None) -> Settings:
    """Settings from ``.env``, the environment and ``--app``; logging is started with them."""
    settings = parse_settings(read_environment({"TREADLE_APP": app} if app is not None else None))
    start_logging(settings.log_level, settings.log_format)
    return settings
