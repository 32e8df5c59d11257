"""For tests, yours and ours: a clock you set, and a runtime on a real store in a temporary folder."""

from treadle.testing.clock import ManualClock
from treadle.testing.runtime import FAST, open_test_runtime

__all__ = ["FAST", "ManualClock", "open_test_runtime"]
