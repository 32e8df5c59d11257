"""What a test may need of the machine. On Linux a missing tool is a failure; elsewhere it does not exist."""

from __future__ import annotations

import shutil
import sys

import pytest

needs_strace = pytest.mark.skipif(
    sys.platform != "linux", reason="strace exists on Linux only: the run's header says so"
)
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="/proc exists on Linux only: the run's header says so")


def missing_tools() -> list[str]:
    """Names of tools that this platform has and this machine lacks."""
    return [name for name in ("strace",) if sys.platform == "linux" and shutil.which(name) is None]
