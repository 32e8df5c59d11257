from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from treadle import failpoints
from treadle.errors import SettingsError, Unavailable
from treadle.failpoints import NAMES, arm, hit

POINT = "worker.after_claim"


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm("")


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What would have been sent to which process."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("treadle.failpoints.os.kill", lambda pid, number: sent.append((pid, number)))
    return sent


def test_an_unarmed_failpoint_does_nothing() -> None:
    for name in NAMES:
        hit(name)


def test_an_armed_failpoint_raises_as_a_store_that_does_not_answer() -> None:
    arm(f"{POINT}=raise")

    with pytest.raises(Unavailable, match=POINT):
        hit(POINT)


def test_only_the_named_failpoint_acts() -> None:
    arm(f"{POINT}=raise")

    for name in NAMES - {POINT}:
        hit(name)


def test_only_the_counted_hit_acts() -> None:
    arm(f"{POINT}=raise@3")

    hit(POINT)
    hit(POINT)
    with pytest.raises(Unavailable):
        hit(POINT)
    hit(POINT)


@pytest.mark.parametrize(("action", "number"), [("kill9", signal.SIGKILL), ("stop", signal.SIGSTOP)])
def test_a_process_can_kill_or_stop_itself_at_the_very_line(
    action: str, number: int, killed: list[tuple[int, int]]
) -> None:
    arm(f"{POINT}={action}@2")

    hit(POINT)
    assert killed == []
    hit(POINT)
    assert killed == [(os.getpid(), number)]


def test_a_delay_lasts_as_long_as_it_was_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("treadle.failpoints.time.sleep", slept.append)
    arm(f"{POINT}=delay:0.25")

    hit(POINT)

    assert slept == [0.25]


def test_several_failpoints_can_be_armed_at_once(killed: list[tuple[int, int]]) -> None:
    arm(" api.before_commit=raise , worker.before_settle=kill9@1,")

    with pytest.raises(Unavailable):
        hit("api.before_commit")
    hit("worker.before_settle")

    assert [number for _, number in killed] == [signal.SIGKILL]


def test_an_empty_text_disarms_and_arming_again_forgets_what_was_armed() -> None:
    arm(f"{POINT}=raise")
    arm("api.after_commit=raise")
    hit(POINT)
    arm("")
    hit("api.after_commit")


@pytest.mark.parametrize(
    "wrong",
    [
        "nonsense",
        "no.such_point=raise",
        f"{POINT}=explode",
        f"{POINT}=",
        f"{POINT}=raise@",
        f"{POINT}=raise@x",
        f"{POINT}=raise@0",
        f"{POINT}=delay:",
        f"{POINT}=delay:1.2.3",
        f"{POINT}=delay:.",
        f"{POINT}=delay:-1",
        f"api.after_commit=raise,{POINT}=explode",
    ],
)
def test_a_specification_that_cannot_be_read_is_a_settings_error_and_arms_nothing(
    wrong: str,
) -> None:
    with pytest.raises(SettingsError, match=r"TREADLE_FAILPOINTS: .*name=action") as refused:
        arm(wrong)

    assert POINT in str(refused.value)  # it lists the names that there are
    for name in NAMES:
        hit(name)


def test_every_failpoint_of_the_source_has_a_known_name() -> None:
    package = Path(failpoints.__file__).parent
    call = re.compile(r"""(?:failpoints\.)?\bhit\(\s*["']([^"']+)["']""")

    used = {name for path in package.rglob("*.py") for name in call.findall(path.read_text("utf-8"))}

    assert used <= NAMES


def test_nothing_is_armed_by_importing() -> None:
    assert sys.modules["treadle.failpoints"] is failpoints
    hit(POINT)
