"""For tests, yours and ours: a harness for an application, a clock you set, a runtime, and faults to order."""

from treadle.testing.clock import ManualClock
from treadle.testing.faults import FaultyDispatch, FaultyStore, Gate
from treadle.testing.harness import Harness
from treadle.testing.proxy import FaultProxy
from treadle.testing.runtime import FAST, open_test_runtime

__all__ = ["FAST", "FaultProxy", "FaultyDispatch", "FaultyStore", "Gate", "Harness", "ManualClock", "open_test_runtime"]
