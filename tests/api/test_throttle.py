"""Counting wrong passwords by address."""

from __future__ import annotations

import pytest

from treadle.testing import ManualClock
from treadle.web.problems import Refused
from treadle.web.throttle import MAX_ADDRESSES, MAX_WRONG_TRIES, Throttle


def spent(throttle: Throttle, address: str) -> bool:
    try:
        throttle.check(address)
    except Refused as refused:
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        return True
    return False


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def throttle(clock: ManualClock) -> Throttle:
    return Throttle(clock.rising)


def test_ten_tries_are_free_and_the_eleventh_waits_out_the_minute(throttle: Throttle, clock: ManualClock) -> None:
    for _ in range(MAX_WRONG_TRIES):
        assert not spent(throttle, "192.0.2.1")
        throttle.wrong("192.0.2.1")
    assert spent(throttle, "192.0.2.1")
    clock.advance(59.9)
    assert spent(throttle, "192.0.2.1")
    clock.advance(0.1)
    assert not spent(throttle, "192.0.2.1")
    throttle.wrong("192.0.2.1")
    assert not spent(throttle, "192.0.2.1")


def test_one_address_does_not_close_the_door_for_another(throttle: Throttle) -> None:
    for _ in range(MAX_WRONG_TRIES):
        throttle.wrong("192.0.2.1")
    assert not spent(throttle, "192.0.2.2")


def test_slow_tries_never_add_up(throttle: Throttle, clock: ManualClock) -> None:
    for _ in range(100):
        throttle.wrong("192.0.2.1")
        clock.advance(6.1)
        assert not spent(throttle, "192.0.2.1")


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
        ("unix", "", False),
    ],
)
def test_who_is_counted_as_one(throttle: Throttle, one: str, other: str, are_one: bool) -> None:
    for _ in range(MAX_WRONG_TRIES):
        throttle.wrong(one)
    assert spent(throttle, other) is are_one


def test_only_so_many_addresses_are_remembered(throttle: Throttle) -> None:
    for number in range(MAX_ADDRESSES + 100):
        throttle.wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(throttle) == MAX_ADDRESSES
