"""A running Treadle for all tests of the clients, and both clients behind one face."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.flow.stack import Stack
from treadle import AsyncClient, Client


class Face:
    """Either client, called as plain functions: what one does the other must do."""

    def __init__(self, client: Client | AsyncClient, runner: asyncio.Runner) -> None:
        self.client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            answer = getattr(self.client, name)(*arguments, **named)
            return self._runner.run(answer) if inspect.iscoroutine(answer) else answer

        return call

    def close(self) -> None:
        if isinstance(self.client, Client):
            self.client.close()
        else:
            self._runner.run(self.client.aclose())


NewFace = Callable[..., Face]
LOGIN = ("admin", "a password: with a colon")
KEY = "tk_0123456789abcdef"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """``treadle dev`` with a key and a login, for all tests of a module."""
    settings = {"TREADLE_API_KEYS": KEY, "ADMIN_USER": LOGIN[0], "ADMIN_PASS": LOGIN[1]}
    running = Stack(tmp_path_factory.mktemp("stack"), settings)
    try:
        running.start("dev")
        yield running
    finally:
        running.close()


@pytest.fixture(params=["blocking", "awaiting"])
def new_face(request: pytest.FixtureRequest) -> Iterator[NewFace]:
    """Makes clients of either kind; they close with the test."""
    kind = Client if request.param == "blocking" else AsyncClient
    made: list[Face] = []
    with asyncio.Runner() as runner:

        def make(url: str, **given: Any) -> Face:
            made.append(Face(kind(url, **given), runner))
            return made[-1]

        yield make
        for face in made:
            face.close()


@pytest.fixture
def face(new_face: NewFace, stack: Stack) -> Face:
    """One that may do everything on the running stack."""
    return new_face(stack.url, key=KEY, admin=LOGIN)
