"""Group commit when the store refuses, does not answer, or breaks: every caller gets the answer that is true."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.waiting import eventually, loop_turns
from treadle import batching
from treadle.batching import GroupCommit
from treadle.errors import OutcomeUnknown, Unavailable, Unstorable

PAUSES = batching._RESEND_PAUSE_SECONDS
TRIES = 9
"""The first sending and one after each documented pause."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_RESEND_PAUSE_SECONDS", (0.0,) * len(PAUSES))


class Database:
    """Takes a batch whole or not at all; refuses it where it holds a bad item; keeps what it took."""

    def __init__(self, *, bad: Sequence[str] = (), raises: Sequence[Exception | None] = ()) -> None:
        self.bad = set(bad)
        self.raises = list(raises)
        self.batches: list[list[str]] = []
        self.rows: list[str] = []

    async def __call__(self, items: Sequence[str]) -> list[str]:
        self.batches.append(list(items))
        await loop_turns(1)
        if self.raises and (error := self.raises.pop(0)) is not None:
            raise error
        if self.bad.intersection(items):
            raise Unstorable("a value the database does not take")
        self.rows += items
        return [f"ok-{item}" for item in items]


async def answers(group: GroupCommit[str, str], items: Sequence[str]) -> list[str | BaseException]:
    tasks = [asyncio.create_task(group.submit(item, 10)) for item in items]
    return await asyncio.gather(*tasks, return_exceptions=True)


# ------------------------------------------------------------------------------ bad data


@pytest.mark.parametrize("bad", ["a", "d", "h", "ah", "de", "abc", "aceg", "bcdefgh", "abcdefgh", ""])
async def test_a_refused_batch_is_halved_until_exactly_the_bad_items_stand_alone(bad: str) -> None:
    database = Database(bad=bad)
    group = GroupCommit(database)

    told = await answers(group, "abcdefgh")

    for item, answer in zip("abcdefgh", told, strict=True):
        if item in bad:
            assert isinstance(answer, Unstorable)
        else:
            assert answer == f"ok-{item}"
    assert database.rows == [item for item in "abcdefgh" if item not in bad]


async def test_one_bad_item_among_a_thousand_costs_few_commits() -> None:
    database = Database(bad=["777"])
    group = GroupCommit(database, max_items=1000)

    told = await answers(group, [f"{number}" for number in range(1000)])

    assert sum(isinstance(answer, Unstorable) for answer in told) == 1
    assert sorted(database.rows) == sorted(f"{number}" for number in range(1000) if number != 777)
    assert len(database.batches) <= 2 * 10 + 1  # twice the halvings of a thousand


async def test_a_bad_item_alone_is_sent_once() -> None:
    database = Database(bad="a")
    group = GroupCommit(database)

    with pytest.raises(Unstorable, match="does not take"):
        await group.submit("a")

    assert database.batches == [["a"]]


async def test_the_batch_after_a_refused_one_is_not_touched_by_it() -> None:
    database = Database(bad="b")
    group = GroupCommit(database, max_items=4)

    told = await answers(group, "abcdefgh")

    assert [isinstance(answer, Unstorable) for answer in told].count(True) == 1
    assert database.batches[-1] == list("efgh")


@given(
    bad=st.lists(st.booleans(), min_size=1, max_size=40),
    max_items=st.integers(1, 12),
    unknown=st.lists(st.booleans(), max_size=10),
)
@settings(max_examples=40, deadline=None)
def test_whatever_the_mix_the_bad_fail_and_every_good_one_is_committed_exactly_once(
    bad: list[bool], max_items: int, unknown: list[bool]
) -> None:
    async def scenario() -> None:
        names = [f"{number}" for number in range(len(bad))]
        wrong = {name for name, is_bad in zip(names, bad, strict=True) if is_bad}
        lost = [OutcomeUnknown() if is_lost else None for is_lost in unknown]
        database = Database(bad=sorted(wrong), raises=lost)
        group = GroupCommit(database, max_items=max_items)

        told = await answers(group, names)
        await group.aclose()

        for name, answer in zip(names, told, strict=True):
            if name in wrong or isinstance(answer, BaseException):
                assert isinstance(answer, Unstorable | OutcomeUnknown)
            else:
                assert answer == f"ok-{name}"
        assert set(Counter(database.rows).values()) <= {1}
        if not any(isinstance(answer, OutcomeUnknown) for answer in told):
            assert set(database.rows) == set(names) - wrong
        assert group.waiting_items == 0

    asyncio.run(scenario())


# ------------------------------------------------------------------------------ unknown outcomes


async def test_a_commit_whose_outcome_is_unknown_is_sent_again_with_the_same_items() -> None:
    database = Database(raises=[OutcomeUnknown(), OutcomeUnknown()])
    group = GroupCommit(database)

    told = await answers(group, "abc")

    assert told == ["ok-a", "ok-b", "ok-c"]
    assert database.batches == [["a", "b", "c"]] * 3


async def test_what_arrives_meanwhile_does_not_join_a_batch_that_is_sent_again() -> None:
    batches: list[list[str]] = []
    late: list[asyncio.Task[str]] = []

    async def commit(items: Sequence[str]) -> list[str]:
        batches.append(list(items))
        if not late:
            late.append(asyncio.create_task(group.submit("late")))
            await eventually(lambda: group.waiting_items)
        if len(batches) < 4:
            raise OutcomeUnknown
        return list(items)

    group = GroupCommit(commit)

    assert await group.submit("a") == "a"
    assert await late[0] == "late"
    assert batches == [["a"]] * 4 + [["late"]]


async def test_an_outcome_that_stays_unknown_is_told_after_the_documented_tries() -> None:
    database = Database(raises=[OutcomeUnknown()] * TRIES)
    group = GroupCommit(database)

    told = await answers(group, "ab")

    assert [type(answer) for answer in told] == [OutcomeUnknown, OutcomeUnknown]
    assert database.batches == [["a", "b"]] * TRIES


def test_the_first_repeat_is_immediate_and_all_of_them_take_about_six_seconds() -> None:
    assert len(PAUSES) == TRIES - 1
    assert PAUSES[0] == 0
    assert 5 < sum(PAUSES) < 7


async def test_the_last_try_counts() -> None:
    database = Database(raises=[OutcomeUnknown()] * (TRIES - 1))
    group = GroupCommit(database)

    assert await group.submit("a") == "ok-a"
    assert len(database.batches) == TRIES


async def test_a_store_that_goes_away_while_an_outcome_is_unknown_is_asked_again() -> None:
    # A server that restarts cuts a commit off and then refuses connections. "Surely not done" speaks of the last
    # sending only: told to the callers it would be a lie about the first.
    database = Database(raises=[OutcomeUnknown(), Unavailable(), Unavailable()])
    group = GroupCommit(database)

    assert await group.submit("a") == "ok-a"
    assert database.batches == [["a"]] * 4


async def test_an_outcome_stays_unknown_although_the_last_tries_found_no_store() -> None:
    database = Database(raises=[OutcomeUnknown(), *[Unavailable()] * (TRIES - 1)])
    group = GroupCommit(database)

    with pytest.raises(OutcomeUnknown):
        await group.submit("a")

    assert database.batches == [["a"]] * TRIES


async def test_bad_data_found_when_a_batch_is_sent_again_is_still_cut_out() -> None:
    database = Database(bad="b", raises=[OutcomeUnknown()])
    group = GroupCommit(database)

    told = await answers(group, "abc")

    assert (told[0], told[2]) == ("ok-a", "ok-c")
    assert isinstance(told[1], Unstorable)
    assert database.rows == ["a", "c"]


# ------------------------------------------------------------------------------ no answer, broken code


async def test_a_store_that_is_away_answers_everybody_at_once_and_is_asked_again_for_the_next() -> None:
    database = Database(raises=[Unavailable("away", retry_after_seconds=7)])
    group = GroupCommit(database)

    told = await answers(group, "abc")

    for answer in told:
        assert isinstance(answer, Unavailable)
        assert answer.retry_after_seconds == 7
    assert database.batches == [["a", "b", "c"]]
    assert await group.submit("d") == "ok-d"


async def test_an_unexpected_error_answers_everybody_and_the_next_batch_works() -> None:
    database = Database(raises=[ZeroDivisionError("a bug")])
    group = GroupCommit(database, max_items=3)

    told = await answers(group, "abcdef")

    assert [type(answer) for answer in told[:3]] == [ZeroDivisionError] * 3
    assert told[3:] == ["ok-d", "ok-e", "ok-f"]


@pytest.mark.parametrize("given_back", [[], ["one"], ["one"] * 5])
async def test_a_commit_that_answers_too_few_or_too_many_leaves_nobody_waiting(
    given_back: list[str],
) -> None:
    async def wrong(items: Sequence[str]) -> list[str]:
        return given_back

    group = GroupCommit(wrong)

    told = await asyncio.wait_for(answers(group, "abc"), timeout=5)

    assert all(isinstance(answer, Exception) for answer in told)
    await group.aclose()


async def test_an_error_that_nobody_is_left_to_read_is_no_error_of_the_loop() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    database = Database(raises=[Unavailable()])
    group = GroupCommit(database)
    gone = asyncio.create_task(group.submit("a"))
    await eventually(lambda: database.batches)

    gone.cancel()
    await group.aclose()
    del gone, group

    assert complaints == []


@pytest.mark.parametrize("is_halving", [False, True])
async def test_a_flush_that_is_stopped_tells_who_was_sent_and_who_was_not(is_halving: bool) -> None:
    # A loop that ends cancels its tasks, the flush among them.
    entered = asyncio.Event()

    async def stopped(items: Sequence[str]) -> list[str]:
        if is_halving and len(items) == 4:
            raise Unstorable("halve it")
        entered.set()
        await asyncio.get_running_loop().create_future()
        return []

    group = GroupCommit(stopped, max_items=4)
    tasks = [asyncio.create_task(group.submit(item, 10)) for item in "abcdef"]
    await entered.wait()
    assert group._flusher is not None

    group._flusher.cancel()
    told = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), timeout=5)

    assert [type(answer) for answer in told] == [OutcomeUnknown] * 4 + [Unavailable] * 2
    assert group.waiting_items == 0


async def test_closing_returns_when_the_store_does_not() -> None:
    database = Database(raises=[Unavailable()])
    group = GroupCommit(database)
    task = asyncio.create_task(group.submit("a"))
    await eventually(lambda: database.batches)

    await group.aclose()

    with pytest.raises(Unavailable):
        await task
