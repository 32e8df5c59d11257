"""The box is capped in messages and in bytes, and drops its oldest."""

from __future__ import annotations

import pytest

from tests.mailbox.post import a_box, a_letter, a_message
from treadle.mailbox.box import Box, MessageTooLarge, search


def test_the_newest_is_first() -> None:
    box = a_box(*(a_message(a_letter(subject=name)) for name in "abc"))

    assert [message.subject for message in box.newest_first()] == ["c", "b", "a"]


def test_beyond_the_count_the_oldest_is_dropped_and_counted() -> None:
    box = a_box(*(a_message(a_letter(subject=name)) for name in "abcde"), max_messages=3)

    assert [message.subject for message in box.newest_first()] == ["e", "d", "c"]
    assert (box.count, box.received_total, box.dropped_total) == (3, 5, 2)


def test_beyond_the_bytes_as_many_of_the_oldest_as_needed_are_dropped() -> None:
    small, large = b"x" * 1_000, b"y" * 3_500
    box = a_box(*(a_message(small) for _ in range(4)), max_bytes=5_000)

    box.add(a_message(large))

    assert [len(message.raw) for message in box.newest_first()] == [3_500, 1_000]
    assert box.dropped_total == 3
    assert box.used_bytes <= 5_000


def test_a_message_larger_than_the_box_drops_nothing() -> None:
    box = a_box(a_message(), max_bytes=5_000)

    with pytest.raises(MessageTooLarge):
        box.add(a_message(b"x" * 5_001))

    assert (box.count, box.dropped_total, box.received_total) == (1, 0, 1)


def test_addresses_count_as_bytes() -> None:
    with pytest.raises(MessageTooLarge):
        a_box(a_message(b"", recipients=["r" * 60] * 100), max_bytes=5_000)


def test_what_is_deleted_gives_its_room_back() -> None:
    first, second = a_message(), a_message()
    box = a_box(first, second)

    assert box.delete(first.id)
    assert not box.delete(first.id)

    assert box.get(first.id) is None
    assert box.get(second.id) is second
    assert box.used_bytes == second.size_bytes


def test_deleting_all_empties_the_box_and_tells_how_many() -> None:
    box = a_box(a_message(), a_message())

    assert box.delete_all() == 2
    assert box.delete_all() == 0

    assert (box.count, box.used_bytes, box.dropped_total, box.received_total) == (0, 0, 0, 2)


@pytest.mark.parametrize("caps", [{"max_messages": 0}, {"max_bytes": 0}])
def test_a_box_for_nothing_is_refused(caps: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Box(**caps)


@pytest.mark.parametrize(
    ("kind", "query", "found"),
    [
        ("from", "APP@example", ["plain", "Grüße"]),
        ("from", "the app", ["plain", "Grüße"]),
        ("from", "second@", []),
        ("to", "second@example.org", ["Grüße"]),
        ("to", "reader@", ["plain", "Grüße"]),
        ("containing", "GRÜSSE", ["Grüße"]),
        ("containing", "needle", ["Grüße"]),
        ("containing", "it works", ["plain"]),
        ("nonsense", "it works", []),
    ],
)
def test_a_search_finds(kind: str, query: str, found: list[str]) -> None:
    plain = a_message(a_letter(subject="plain"))
    other = a_message(
        a_letter(subject="Grüße", text="ein Häuschen\n", html="<p>needle</p>"),
        recipients=["second@example.org"],
    )
    messages = (plain, other)

    assert [message.subject for message in search(messages, kind, query)] == found
