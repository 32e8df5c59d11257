"""Runs of pytest as a user starts them, on tests that a page shows."""

from __future__ import annotations

from importlib.metadata import entry_points

# Where Treadle is installed, pytest finds the plugin by itself, and refuses to be told of it twice. Valkey's wheel and
# pytest-asyncio bring plugins that a user of Treadle need not have.
_OURS = [] if entry_points(group="pytest11", name="treadle") else ["-p", "treadle.testing.plugin"]
OPTIONS = ["-p", "no:cacheprovider", "-p", "no:valkey", "-p", "no:asyncio", *_OURS]
