"""One attempt from payload to outcome: whatever user code does, the executor answers and never raises."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from tests.worker.attempts import an_attempt
from treadle.context import Job
from treadle.jobtype import Registry
from treadle.outcome import (
    MAX_TEXT_BYTES,
    Failed,
    NonRetryable,
    Outcome,
    Park,
    Parked,
    Snooze,
    Snoozed,
    Succeeded,
)
from treadle.worker.executor import LARGE_PAYLOAD_BYTES, Executor
from treadle.worker.handlers import HandlerLoop, HandlerThreads

Payload = dict[str, Any]


class Point(msgspec.Struct):
    x: int


@pytest.fixture
async def executor(registry: Registry) -> AsyncIterator[Executor]:
    loop = HandlerLoop()
    loop.start()
    yield Executor(registry, loop, HandlerThreads(), overrun_seconds=0.1)
    loop.stop()


@pytest.fixture(params=["async", "def"])
def register(request: pytest.FixtureRequest, registry: Registry) -> Callable[[Callable[[], Any]], None]:
    """Registers ``work`` as the handler of TEST, once as a coroutine and once as a plain function."""

    def decorate(work: Callable[[], Any]) -> None:
        if request.param == "async":

            @registry.job("TEST")
            async def handle_async(payload: Payload) -> Any:
                return work()
        else:

            @registry.job("TEST")
            def handle(payload: Payload) -> Any:
                return work()

    return decorate


Register = Callable[[Callable[[], Any]], None]


async def run(executor: Executor, **job: Any) -> Outcome:
    return await asyncio.wait_for(executor.run(an_attempt(**job)), 30)


def raiser(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


# --------------------------------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, b"null"),
        (True, b"true"),
        (0, b"0"),
        ("text ✓", '"text ✓"'.encode()),
        ([1, 2.5, {"a": None}], b'[1,2.5,{"a":null}]'),
        (Point(3), b'{"x":3}'),
        (frozenset({1}), b"[1]"),
    ],
)
async def test_a_returned_value_is_the_result_as_compact_json(
    executor: Executor, register: Register, value: object, stored: bytes
) -> None:
    register(lambda: value)

    assert await run(executor) == Succeeded(stored)


def cyclic() -> list[Any]:
    knot: list[Any] = []
    knot.append(knot)
    return knot


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(10_000):
        value = [value]
    return value


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} for you")


@pytest.mark.parametrize(
    "make",
    [
        object,
        lambda: math.nan,
        lambda: [1, math.inf],
        lambda: b"bytes",
        cyclic,
        deep,
        lambda: "x" * (256 * 1024),
        lambda: "x" * (100 * 1024 * 1024),
        lambda: "half a pair \ud800",
        lambda: {"nul": "\0"},
        lambda: 2**53,
        lambda: {1: object()},
        lambda: (n for n in range(3)),
        Hostile,
    ],
    ids=range(14),
)
async def test_a_result_that_cannot_be_stored_fails_for_good(
    executor: Executor, register: Register, make: Callable[[], object]
) -> None:
    register(make)

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == ("result_not_storable", False)


# ---------------------------------------------------------------------------------------- errors


class Own(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such thing"),
        Own("no such thing"),
        SystemExit("no such thing"),
        KeyboardInterrupt("no such thing"),
        GeneratorExit("no such thing"),
        ExceptionGroup("no such thing", [ValueError("a"), TypeError("b")]),
        BaseExceptionGroup("no such thing", [Own()]),
        MemoryError("no such thing"),
        RecursionError("no such thing"),
        StopAsyncIteration("no such thing"),
        TimeoutError("no such thing"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_is_raised_is_a_failure_under_its_own_name(
    executor: Executor, register: Register, error: BaseException
) -> None:
    register(raiser(error))

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == (type(error).__name__, True)
    assert "no such thing" in outcome.message
    assert outcome.traceback is not None
    assert "raise error" in outcome.traceback


async def test_exit_with_code_zero_is_not_a_success(executor: Executor, register: Register) -> None:
    register(lambda: sys.exit(0))

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.message) == ("SystemExit", "0")


async def test_a_stop_iteration_is_a_failure(executor: Executor, register: Register) -> None:
    register(raiser(StopIteration("end")))

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert outcome.kind in {"StopIteration", "RuntimeError"}  # Python itself renames it inside a coroutine


async def test_a_cancelled_error_that_nobody_asked_for_is_a_failure(executor: Executor, register: Register) -> None:
    register(raiser(asyncio.CancelledError()))

    assert await run(executor) == Failed("CancelledError", "the handler was cancelled")


async def test_a_handler_that_cancels_its_own_task_fails_and_the_loop_goes_on(
    executor: Executor, registry: Registry
) -> None:
    @registry.job("TEST")
    async def handle(payload: Payload) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    assert await run(executor) == Failed("CancelledError", "the handler was cancelled")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=lambda error: type(error).__name__)
async def test_a_child_task_that_ends_the_interpreter_ends_neither_the_loop_nor_its_neighbours(
    executor: Executor, registry: Registry, error: BaseException
) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    async def child() -> None:
        raise error

    @registry.job("TEST")
    async def handle(payload: Payload) -> None:
        await asyncio.create_task(child())

    @registry.job("NEIGHBOUR")
    async def neighbour(payload: Payload) -> str:
        waiting.set()
        await asyncio.to_thread(go_on.wait)
        return "here"

    neighbour_ran = asyncio.create_task(run(executor, type="NEIGHBOUR"))
    await asyncio.to_thread(waiting.wait)

    outcome = await run(executor, timeout_seconds=5.0)

    go_on.set()
    assert isinstance(outcome, Failed)
    assert outcome.kind == type(error).__name__
    assert await neighbour_ran == Succeeded(b'"here"')


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Snooze(90), Snoozed(90.0)),
        (Park("look at this"), Parked("look at this")),
        (Park(""), Parked("Park")),
    ],
)
async def test_what_a_handler_asks_for_is_its_outcome(
    executor: Executor, register: Register, error: Exception, outcome: Outcome
) -> None:
    register(raiser(error))

    assert await run(executor) == outcome


class Permanent(NonRetryable):
    pass


@pytest.mark.parametrize("kind", [NonRetryable, Permanent])
async def test_non_retryable_and_its_subclasses_fail_for_good(
    executor: Executor, register: Register, kind: type[Exception]
) -> None:
    register(raiser(kind("wrong account")))

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.message, outcome.retryable) == (kind.__name__, "wrong account", False)


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, 1e12, True])
async def test_a_snooze_that_means_nothing_is_a_failure(executor: Executor, register: Register, seconds: float) -> None:
    register(lambda: raiser(Snooze(seconds))())

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert outcome.kind == "ValueError"


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


class LyingMute(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


class ShutDown(Exception):
    def __str__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize("error", [Mute(), LyingMute(), ShutDown()], ids=lambda error: type(error).__name__)
async def test_an_error_that_cannot_say_what_it_is_is_still_a_failure(
    executor: Executor, register: Register, error: Exception
) -> None:
    register(raiser(error))

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert outcome.kind == type(error).__name__
    assert "cannot be read" in outcome.message


@pytest.mark.parametrize(
    "text",
    ["x" * 50_000_000, "\ud800 half", "a\0b", "\x1b[31mred\x1b[0m", "", "é" * 10_000],
    ids=["50 MB", "surrogate", "NUL", "ANSI", "empty", "two bytes each"],
)
async def test_an_error_text_is_cut_and_always_storable(executor: Executor, register: Register, text: str) -> None:
    register(raiser(ValueError(text)))

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert outcome.message
    for told in (outcome.message, outcome.traceback or ""):
        assert len(told.encode()) <= MAX_TEXT_BYTES  # and it encodes at all
        assert "\0" not in told


async def test_a_chain_of_errors_is_told_whole(executor: Executor, register: Register) -> None:
    def work() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    register(work)

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert outcome.traceback is not None
    assert "inner" in outcome.traceback
    assert "outer" in outcome.traceback


async def test_an_endless_recursion_is_a_failure(executor: Executor, register: Register) -> None:
    def down() -> Any:
        return down()

    register(down)

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert outcome.kind == "RecursionError"


# --------------------------------------------------------------------------------------- payload


@pytest.mark.parametrize("pad", [0, LARGE_PAYLOAD_BYTES], ids=["small", "large"])
async def test_a_handler_gets_its_payload_typed(executor: Executor, registry: Registry, pad: int) -> None:
    @registry.job("TEST")
    async def handle(payload: Point, job: Job) -> list[object]:
        return [payload.x, job.attempt]

    padding = " " * pad
    assert await run(executor, payload=f'{{"x":4{padding}}}'.encode()) == Succeeded(b"[4,1]")


@pytest.mark.parametrize("payload", [b"{}", b'{"x":"four"}', b"[]", b"not json", b"\xff"])
async def test_a_payload_that_no_longer_fits_fails_for_good_and_says_where(
    executor: Executor, registry: Registry, payload: bytes
) -> None:
    ran: list[Point] = []

    @registry.job("TEST")
    async def handle(payload: Point) -> None:
        ran.append(payload)

    outcome = await run(executor, payload=payload)

    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable, ran) == ("invalid_payload", False, [])


async def test_a_type_that_this_worker_does_not_know_fails_for_good(executor: Executor) -> None:
    outcome = await run(executor, type="GONE")

    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == ("unknown_type", False)


async def test_what_escapes_our_own_code_around_a_handler_is_told_at_once(
    registry: Registry, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    @registry.job("TEST")
    async def handle(payload: Payload) -> None:
        pass

    async def broken(*arguments: object) -> Outcome:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("treadle.worker.executor._run_async", broken)

    outcome = await run(executor)

    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.message) == ("RuntimeError", "a bug of ours")
