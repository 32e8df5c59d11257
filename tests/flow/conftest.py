"""Stacks for the flow tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flow.stack import Stack
from tests.servers.rungs import RUNGS

NewStack = Callable[..., Stack]


@pytest.fixture
def new_stack(tmp_path: Path, rung: str) -> Iterator[NewStack]:
    """Makes a stack on the test's rung; nothing runs yet."""
    made: list[Stack] = []
    with ExitStack() as rungs:

        def make(settings: Mapping[str, str] | None = None) -> Stack:
            folder = tmp_path / f"stack{len(made)}"
            folder.mkdir()
            stack = Stack(folder, {**rungs.enter_context(RUNGS[rung]()), **(settings or {})})
            rungs.callback(stack.close)  # before its rung ends, and whatever the others' ends find
            made.append(stack)
            return stack

        yield make


@pytest.fixture
def dev(new_stack: NewStack) -> Stack:
    """A running ``treadle dev``."""
    stack = new_stack()
    stack.start("dev")
    return stack
