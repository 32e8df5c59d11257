"""Named places where a test may kill, stop, delay or fail the process, at an exact line and not by luck.

Unarmed (always, outside tests) a failpoint is one truth test of an empty dict. Arming is refused unless
``TREADLE_TESTING=1``: ``settings.py`` holds that rule.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from dataclasses import dataclass

from treadle.errors import SettingsError, Unavailable

NAMES = frozenset(
    {
        "api.before_commit",
        "api.after_commit",
        "worker.before_claim",
        "worker.after_claim",
        "worker.before_handler",
        "worker.after_handler",
        "worker.before_settle",
        "worker.after_settle",
        "duties.after_end_lease",
    }
)
_ENTRY = re.compile(
    r"(?P<name>[a-z_.]+)=(?P<action>kill9|stop|delay|raise)"
    r"(?::(?P<argument>[0-9]+(?:\.[0-9]+)?))?(?:@(?P<nth>[1-9][0-9]*))?"
)


@dataclass(slots=True)
class _Armed:
    action: str
    argument: float
    nth: int
    hits: int = 0


_armed: dict[str, _Armed] = {}
_lock = threading.Lock()


def arm(specification: str) -> None:
    """Arm from ``name=action[:seconds][@nth]``, comma-separated: ``worker.after_claim=kill9@3``.

    Actions: ``kill9``, ``stop`` (SIGSTOP to oneself; somebody else continues it), ``delay:SECONDS``, ``raise``
    (``Unavailable``). ``@nth`` counts hits from 1 (default 1); only that hit acts. An empty text disarms all.
    """
    wanted: dict[str, _Armed] = {}
    for entry in filter(None, (part.strip() for part in specification.split(","))):
        match = _ENTRY.fullmatch(entry)
        if match is None or match["name"] not in NAMES:
            raise SettingsError(
                [f"TREADLE_FAILPOINTS: {entry!r} is not name=action[:seconds][@nth] with a name of {sorted(NAMES)}"]
            )
        wanted[match["name"]] = _Armed(match["action"], float(match["argument"] or 0), int(match["nth"] or 1))
    _armed.clear()
    _armed.update(wanted)


def hit(name: str) -> None:
    """Pass the failpoint ``name``; does nothing unless it is armed and this is the counted hit."""
    if not _armed:
        return
    armed = _armed.get(name)
    if armed is None:
        return
    with _lock:
        armed.hits += 1
        due = armed.hits == armed.nth
    if not due:
        return
    if armed.action == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif armed.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif armed.action == "delay":
        time.sleep(armed.argument)
    else:
        raise Unavailable(f"failpoint {name}")
