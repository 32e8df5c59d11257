"""When a beat asks for everything that points to its worker."""

from __future__ import annotations

from treadle.worker.looks import LEASES_BETWEEN, Looks

LEASE = 15.0


def looks_after_one_at(sent_at: float) -> Looks:
    looks = Looks(LEASE)
    looks.looked(sent_at)
    return looks


def test_the_first_look_is_for_everything() -> None:
    assert Looks(LEASE).is_whole(0.0)


def test_the_next_ones_are_not_for_a_few_leases() -> None:
    looks = looks_after_one_at(100.0)

    assert not looks.is_whole(102.0)
    assert not looks.is_whole(100.0 + LEASES_BETWEEN * LEASE - 0.1)
    assert looks.is_whole(100.0 + LEASES_BETWEEN * LEASE)


def test_a_look_without_an_answer_was_none() -> None:
    looks = looks_after_one_at(100.0)
    due_at = 100.0 + LEASES_BETWEEN * LEASE

    assert looks.is_whole(due_at)
    assert looks.is_whole(due_at + 2.0)
    looks.looked(due_at + 2.0)
    assert not looks.is_whole(due_at + 4.0)


def test_a_doubt_makes_every_look_one_for_everything_until_it_is_a_lease_old() -> None:
    looks = looks_after_one_at(100.0)
    looks.doubt(103.0)

    for sent_at in (104.0, 106.0, 103.0 + LEASE - 0.1):
        assert looks.is_whole(sent_at)
        looks.looked(sent_at)
    looks.looked(103.0 + LEASE)
    assert not looks.is_whole(103.0 + LEASE + 2.0)


def test_a_doubt_lasts_until_a_look_is_answered() -> None:
    looks = looks_after_one_at(100.0)
    looks.doubt(103.0)

    assert looks.is_whole(103.0 + 2 * LEASE)


def test_a_look_that_was_sent_before_the_doubt_does_not_end_it() -> None:
    looks = looks_after_one_at(0.0)
    looks.doubt(103.0)
    looks.looked(102.0)

    assert looks.is_whole(104.0)
