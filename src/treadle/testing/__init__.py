"""For tests, yours and ours: a clock you set, a runtime on a real store in a temporary folder, and faults to order."""

from treadle.testing.clock import ManualClock
from treadle.testing.faults import FaultyDispatch, FaultyStore, Gate
from treadle.testing.proxy import FaultProxy
from treadle.testing.runtime import FAST, open_test_runtime

__all__ = ["FAST", "FaultProxy", "FaultyDispatch", "FaultyStore", "Gate", "ManualClock", "open_test_runtime"]
