from __future__ import annotations

import pytest

from treadle.queue import DEFAULT_QUEUE, PRIORITY_BY_LABEL, Priority, is_queue_name


@pytest.mark.parametrize("name", ["default", "images", "a", "0", "9-lives", "a_b-c", "x" * 63, "high", "high-priority"])
def test_a_plain_lower_case_name_may_name_a_queue(name: str) -> None:
    assert is_queue_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "Images",
        "_a",
        "-a",
        "x" * 64,
        "a b",
        "a:b",
        "a\n",
        "\na",
        "a.b",
        "é",
        "a\0",
        "٣",  # a digit, but not an ASCII one
        "a/b",
        "*",
    ],
)
def test_any_other_name_may_not(name: str) -> None:
    assert not is_queue_name(name)


def test_the_name_that_would_collide_with_a_redis_list_is_reserved() -> None:
    assert not is_queue_name("high_priority")


def test_the_queue_for_those_who_say_nothing_has_a_valid_name() -> None:
    assert is_queue_name(DEFAULT_QUEUE)


def test_high_sorts_before_default() -> None:
    assert sorted([Priority.DEFAULT, Priority.HIGH]) == [Priority.HIGH, Priority.DEFAULT]


def test_priorities_are_known_by_their_public_names_and_no_other() -> None:
    assert PRIORITY_BY_LABEL == {"high": Priority.HIGH, "default": Priority.DEFAULT}
    assert [priority.label for priority in Priority] == ["high", "default"]


def test_the_numbers_that_stores_sort_by_never_change() -> None:
    assert (int(Priority.HIGH), int(Priority.DEFAULT)) == (0, 1)
