"""Group commit: what shares a commit, what may wait, and who takes what back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.waiting import eventually, loop_turns
from treadle.batching import GroupCommit
from treadle.errors import Overloaded, Unavailable


class Commits:
    """A commit that counts its calls, can be held at its gate, and answers each item with ``ok-<item>``."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.running = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: Sequence[str]) -> list[str]:
        self.batches.append(list(items))
        self.running += 1
        assert self.running == 1, "two commits of one kind at once"
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return [f"ok-{item}" for item in items]

    @property
    def sent(self) -> list[str]:
        return [item for batch in self.batches for item in batch]


def submitted(group: GroupCommit[str, str], items: Sequence[str], *, size_bytes: int = 0) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(group.submit(item, size_bytes)) for item in items]


async def held(commits: Commits, group: GroupCommit[str, str]) -> asyncio.Task[str]:
    """A first item whose commit stands at the gate; what comes after it waits."""
    commits.gate.clear()
    first = asyncio.create_task(group.submit("first"))
    await eventually(lambda: commits.running)
    return first


# ------------------------------------------------------------------------------ what shares a commit


async def test_one_item_alone_is_committed_at_once() -> None:
    commits = Commits()
    group = GroupCommit(commits)

    task = asyncio.create_task(group.submit("a"))
    await loop_turns(2)  # the caller runs, then the flush: nothing waits for a batch to fill

    assert commits.batches == [["a"]]
    assert await task == "ok-a"


async def test_items_one_after_another_get_a_commit_each() -> None:
    commits = Commits()
    group = GroupCommit(commits)

    answers = [await group.submit(item) for item in "abc"]

    assert answers == ["ok-a", "ok-b", "ok-c"]
    assert commits.batches == [["a"], ["b"], ["c"]]


async def test_a_thousand_items_that_arrive_during_a_flush_share_one_commit() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_items=1000)
    first = await held(commits, group)
    items = [f"{number}" for number in range(1000)]
    tasks = submitted(group, items)
    await eventually(lambda: group.waiting_items == 1000)

    commits.gate.set()

    assert await asyncio.gather(*tasks) == [f"ok-{item}" for item in items]
    assert await first == "ok-first"
    assert commits.batches == [["first"], items]


async def test_the_next_flush_starts_as_soon_as_the_last_one_is_back() -> None:
    commits = Commits()
    group = GroupCommit(commits)
    first = await held(commits, group)
    second = asyncio.create_task(group.submit("b"))
    await eventually(lambda: group.waiting_items == 1)

    commits.gate.set()
    await first

    # Answering "first" and beginning to commit "b" are one and the same turn of the loop.
    assert commits.batches == [["first"], ["b"]]
    assert await second == "ok-b"


async def test_every_caller_gets_the_answer_of_his_own_item() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_items=7)
    items = [f"{number}" for number in range(100)]

    answers = await asyncio.gather(*submitted(group, items))

    assert answers == [f"ok-{item}" for item in items]
    assert commits.sent == items


async def test_equal_items_are_items_of_their_own() -> None:
    commits = Commits()
    group = GroupCommit(commits)

    answers = await asyncio.gather(*submitted(group, ["same"] * 5))

    assert answers == ["ok-same"] * 5
    assert commits.sent == ["same"] * 5


async def test_a_group_can_rest_and_go_on() -> None:
    commits = Commits()
    group = GroupCommit(commits)

    await group.submit("a")
    await loop_turns(5)
    await group.submit("b")

    assert commits.batches == [["a"], ["b"]]
    assert group.waiting_items == 0


# ------------------------------------------------------------------------------ caps of one commit


async def test_a_commit_is_capped_in_items() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_items=3)
    await held(commits, group)
    tasks = submitted(group, list("abcdefgh"))
    await eventually(lambda: group.waiting_items == 8)

    commits.gate.set()
    await asyncio.gather(*tasks)

    assert [len(batch) for batch in commits.batches] == [1, 3, 3, 2]


async def test_a_commit_is_capped_in_bytes() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_bytes=100)
    await held(commits, group)
    sizes = {"a": 60, "b": 40, "c": 1, "d": 99, "e": 1, "f": 250, "g": 0, "h": 100}
    tasks = [asyncio.create_task(group.submit(item, size)) for item, size in sizes.items()]
    await eventually(lambda: group.waiting_items == 8)

    commits.gate.set()
    await asyncio.gather(*tasks)

    # In order, as full as the cap allows; an item over the cap goes alone rather than never.
    assert commits.batches == [["first"], ["a", "b"], ["c", "d"], ["e"], ["f"], ["g", "h"]]


# ------------------------------------------------------------------------------ caps of the queue


async def test_beyond_the_waiting_cap_one_is_refused_at_once_and_what_was_accepted_still_commits() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_waiting_items=3)
    first = await held(commits, group)
    accepted = submitted(group, list("abc"))
    await eventually(lambda: group.waiting_items == 3)

    with pytest.raises(Overloaded):
        await group.submit("d")

    commits.gate.set()
    assert await asyncio.gather(first, *accepted) == ["ok-first", "ok-a", "ok-b", "ok-c"]
    assert commits.sent == ["first", "a", "b", "c"]
    assert await group.submit("e") == "ok-e"


async def test_a_refusal_tells_when_to_come_back_and_is_no_unknown_outcome() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_waiting_items=0)

    with pytest.raises(Overloaded) as refused:
        await group.submit("a")

    assert refused.value.code == "store.overloaded"
    assert refused.value.retry_after_seconds > 0
    assert commits.batches == []


async def test_the_queue_is_capped_in_bytes_too() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_waiting_bytes=100)
    await held(commits, group)
    accepted = submitted(group, ["a", "b"], size_bytes=50)
    await eventually(lambda: group.waiting_items == 2)

    with pytest.raises(Overloaded):
        await group.submit("c", 1)

    commits.gate.set()
    await asyncio.gather(*accepted)
    assert await group.submit("d", 100) == "ok-d"


async def test_an_item_over_the_byte_cap_is_taken_when_it_comes_alone() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_waiting_bytes=100, max_bytes=100)

    assert await group.submit("huge", 10_000) == "ok-huge"


async def test_what_is_being_flushed_no_longer_counts_as_waiting() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_waiting_items=2, max_waiting_bytes=20)
    commits.gate.clear()
    tasks = submitted(group, ["a", "b"], size_bytes=10)
    await eventually(lambda: commits.running)

    tasks += submitted(group, ["c", "d"], size_bytes=10)
    await eventually(lambda: group.waiting_items == 2)
    commits.gate.set()

    assert await asyncio.gather(*tasks) == ["ok-a", "ok-b", "ok-c", "ok-d"]


# ------------------------------------------------------------------------------ timing out, going away


async def test_an_item_that_waited_too_long_is_refused_and_never_sent() -> None:
    commits = Commits()
    group = GroupCommit(commits)
    first = await held(commits, group)

    with pytest.raises(Unavailable, match="nothing was stored"):
        await group.submit("late", 5, timeout_seconds=0.001)

    commits.gate.set()
    await first
    assert await group.submit("next") == "ok-next"
    assert commits.sent == ["first", "next"]


async def test_an_item_that_timed_out_frees_its_place_and_its_bytes() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_waiting_items=2, max_waiting_bytes=20)
    await held(commits, group)
    staying = asyncio.create_task(group.submit("a", 10))
    await eventually(lambda: group.waiting_items == 1)
    with pytest.raises(Unavailable, match="nothing was stored"):
        await group.submit("late", 10, timeout_seconds=0)

    next_one = asyncio.create_task(group.submit("b", 10))
    await eventually(lambda: group.waiting_items == 2)
    commits.gate.set()

    assert [await staying, await next_one] == ["ok-a", "ok-b"]


async def test_the_impatient_time_out_among_the_patient_who_stay_in_their_order() -> None:
    commits = Commits()
    group = GroupCommit(commits)
    first = await held(commits, group)
    patience = {"a": 60.0, "b": 0.001, "c": None, "d": 0.002, "e": 60.0}
    tasks = {item: asyncio.create_task(group.submit(item, timeout_seconds=wait)) for item, wait in patience.items()}
    for item in "bd":
        with pytest.raises(Unavailable, match="nothing was stored"):
            await tasks[item]

    commits.gate.set()

    assert await asyncio.gather(first, *(tasks[item] for item in "ace")) == ["ok-first", "ok-a", "ok-c", "ok-e"]
    assert commits.sent == ["first", "a", "c", "e"]


async def test_an_item_that_is_being_flushed_cannot_time_out() -> None:
    commits = Commits()
    group = GroupCommit(commits)
    commits.gate.clear()
    task = asyncio.create_task(group.submit("a", timeout_seconds=0.001))
    await eventually(lambda: commits.running)

    done, _ = await asyncio.wait((task,), timeout=0.02)  # twenty times its patience

    assert not done
    commits.gate.set()
    assert await task == "ok-a"


async def test_patience_that_is_not_needed_changes_nothing() -> None:
    commits = Commits()
    group = GroupCommit(commits)

    assert await group.submit("a", timeout_seconds=0) == "ok-a"
    assert await group.submit("b", timeout_seconds=60) == "ok-b"


@pytest.mark.parametrize("timeout_seconds", [None, 60.0])
async def test_a_caller_who_goes_away_during_a_flush_takes_nothing_back(
    timeout_seconds: float | None,
) -> None:
    commits = Commits()
    group = GroupCommit(commits)
    commits.gate.clear()
    gone = asyncio.create_task(group.submit("gone", timeout_seconds=timeout_seconds))
    await eventually(lambda: commits.running)
    staying = asyncio.create_task(group.submit("staying"))

    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone

    assert commits.running == 1
    commits.gate.set()
    assert await staying == "ok-staying"
    assert commits.sent == ["gone", "staying"]


@pytest.mark.parametrize("timeout_seconds", [None, 60.0])
async def test_a_caller_who_goes_away_while_waiting_is_committed_all_the_same(
    timeout_seconds: float | None,
) -> None:
    commits = Commits()
    group = GroupCommit(commits)
    await held(commits, group)
    gone = asyncio.create_task(group.submit("gone", timeout_seconds=timeout_seconds))
    staying = asyncio.create_task(group.submit("staying"))
    await eventually(lambda: group.waiting_items == 2)

    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    commits.gate.set()

    assert await staying == "ok-staying"
    assert commits.batches == [["first"], ["gone", "staying"]]


# ------------------------------------------------------------------------------ closing


async def test_closing_waits_until_everything_is_known() -> None:
    commits = Commits()
    group = GroupCommit(commits, max_items=2)
    first = await held(commits, group)
    tasks = submitted(group, list("abcde"))
    await eventually(lambda: group.waiting_items == 5)
    closing = asyncio.create_task(group.aclose())
    await loop_turns(5)
    assert not closing.done()

    commits.gate.set()
    await closing

    assert all(task.done() for task in (first,))
    assert group.waiting_items == 0
    assert commits.sent == ["first", *"abcde"]
    assert await asyncio.gather(*tasks) == [f"ok-{item}" for item in "abcde"]


async def test_closing_waits_for_items_whose_callers_have_gone() -> None:
    commits = Commits()
    group = GroupCommit(commits)
    await held(commits, group)
    gone = asyncio.create_task(group.submit("gone"))
    await eventually(lambda: group.waiting_items == 1)
    gone.cancel()

    commits.gate.set()
    await group.aclose()

    assert commits.sent == ["first", "gone"]


async def test_closing_a_group_that_has_nothing_to_do_returns_at_once_and_twice() -> None:
    group = GroupCommit(Commits())

    await group.aclose()
    await group.aclose()
