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
            made.append(Stack(folder, {**rungs.enter_context(RUNGS[rung]()), **(settings or {})}))
            return made[-1]

        yield make
        for stack in made:
            stack.close()


@pytest.fixture
def dev(new_stack: NewStack) -> Stack:
    """A running ``treadle dev``."""
    stack = new_stack()
    stack.start("dev")
    return stack
