"""Siblings: when a child is started again. What they do together is in tests/flow/test_siblings.py."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import logging, os, signal, sys
from treadle import siblings

siblings.MAX_PAUSE_SECONDS, siblings.STEADY_SECONDS = 0.2, {steady}
logging.basicConfig(format="%(message)s", stream=sys.stdout)
parent, fork, forks, put_off, said = os.getpid(), os.fork, [], siblings.Siblings._put_off, []
wakes, wake = os.pipe()

def fork_but_once():
    forks.append(1)
    if len(forks) == 4:  # two at the start, one again
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()

def end_the_fourth_time(self, place, why):
    put_off(self, place, why)
    said.append(why)
    if len(said) == 4:
        os.kill(parent, signal.SIGTERM)

def live(place):
    place.say_up()
    if place.number == 0:
        signal.pause()
    os.read(wakes, 1)  # until all were up
    return 3

os.fork, siblings.Siblings._put_off = fork_but_once, end_the_fourth_time
os._exit(siblings.Siblings(2, live, lambda: os.write(wake, b"...")).run())
"""


def starts(steady_seconds: float) -> list[str]:
    """What a parent says whose second child ends again and again, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(steady=steady_seconds)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 70, (
        done.stdout + done.stderr
    )  # the first was killed by the signal that it took no care of
    return [line for line in done.stdout.splitlines() if line.startswith("a process")]


def test_pauses_grow_up_to_a_bound_and_a_fork_that_fails_is_put_off_like_a_death() -> None:
    said = starts(steady_seconds=60)

    assert [line.rpartition(" in ")[2] for line in said] == ["0.1 s", "0.2 s", "0.2 s", "0.2 s"]
    assert said[0].startswith("a process of the API ended with exit code 3")
    assert said[2].startswith("a process of the API could not be started (Resource temporarily unavailable)")


def test_who_lived_long_enough_begins_with_a_small_pause_again() -> None:
    assert {line.rpartition(" in ")[2] for line in starts(steady_seconds=0)} == {"0.1 s"}
