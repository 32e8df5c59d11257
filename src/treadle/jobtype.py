"""Job types and their registry: name, payload model, handler, policy; checked when they are registered.

A mistake here is met by a person at a desk, so every error says how to mend it.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from treadle.context import Job
from treadle.errors import RegistrationError
from treadle.isolation import Isolation
from treadle.job import DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, MAX_TYPE_LENGTH
from treadle.queue import DEFAULT_QUEUE, QUEUE_NAME_RULE, is_queue_name
from treadle.retry import Retry
from treadle.schema import PayloadModel, model_for

Handler = TypeVar("Handler", bound=Callable[..., Any])
Hook = Callable[[], Awaitable[None]]

_TYPE_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_.-]{{0,{MAX_TYPE_LENGTH - 1}}}")


@dataclass(frozen=True, slots=True)
class JobType:
    """One registered type."""

    name: str
    model: PayloadModel
    handler: Callable[..., Any]
    takes_job: bool
    is_async: bool
    retry: Retry
    timeout_seconds: float
    queue: str
    isolation: Isolation | None
    """``None``: in the worker's own process, until it has crashed once."""


class Registry:
    """The job types a process knows."""

    def __init__(self) -> None:
        self._types: dict[str, JobType] = {}
        self.start_hooks: list[Hook] = []
        self.stop_hooks: list[Hook] = []

    def on_start(self, hook: Hook) -> Hook:
        """Register an ``async def`` without parameters, run on the handlers' loop before a worker's first job."""
        self.start_hooks.append(_checked_hook("on_start", hook))
        return hook

    def on_stop(self, hook: Hook) -> Hook:
        """Register an ``async def`` without parameters, run on the handlers' loop after a worker's last job."""
        self.stop_hooks.append(_checked_hook("on_stop", hook))
        return hook

    def __iter__(self) -> Iterator[JobType]:
        return iter(self._types.values())

    def __len__(self) -> int:
        return len(self._types)

    def get(self, name: str) -> JobType | None:
        """The type called ``name``, if this process knows it."""
        return self._types.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of registration."""
        return tuple(self._types)

    def include(self, other: Registry) -> None:
        """Take over the types of ``other``, or nothing. Raises ``RegistrationError`` where a name is taken."""
        for jobtype in other:
            self._refuse_taken(jobtype)
        for jobtype in other:
            self._add(jobtype)
        self.start_hooks += other.start_hooks
        self.stop_hooks += other.stop_hooks

    def job(
        self,
        name: str,
        *,
        retry: Retry | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        queue: str = DEFAULT_QUEUE,
        isolate: bool | Isolation = False,
    ) -> Callable[[Handler], Handler]:
        """Register the decorated function as the handler of the type ``name``; the function itself is unchanged.

        ``timeout`` is in seconds. An ``async def`` handler runs on the handlers' loop, a ``def`` in a thread; with
        ``isolate=True`` (or an ``Isolation`` with limits of its own) either runs in a child process, which is killed
        at the timeout and takes nothing with it when it dies.
        Raises ``RegistrationError``.
        """
        if not isinstance(name, str) or not _TYPE_NAME.fullmatch(name):
            raise RegistrationError(
                f'@app.job({name!r}): the type\'s name must be text like "THUMBNAIL": a letter, then letters, digits, '
                f'_ . or -, at most {MAX_TYPE_LENGTH}; write @app.job("THUMBNAIL")'
            )
        where = f"@app.job({name!r})"
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_TIMEOUT_SECONDS:
            raise RegistrationError(f"{where}: timeout= must be seconds, more than 0 and at most {MAX_TIMEOUT_SECONDS}")
        if not isinstance(queue, str) or not is_queue_name(queue):
            raise RegistrationError(f"{where}: queue= must be {QUEUE_NAME_RULE}")
        if retry is not None and not isinstance(retry, Retry):
            raise RegistrationError(f"{where}: retry= must be a Retry, as in retry=Retry(attempts=5)")
        if not isinstance(isolate, bool | Isolation):
            raise RegistrationError(
                f"{where}: isolate= must be True, False or an Isolation, as in Isolation(memory_mb=256)"
            )

        def register(handler: Handler) -> Handler:
            takes_job, annotation = _signature(where, handler)
            try:
                model = model_for(annotation)
            except RegistrationError as error:
                raise RegistrationError(f"{where}: {error}") from None
            self._add(
                JobType(
                    name=name,
                    model=model,
                    handler=handler,
                    takes_job=takes_job,
                    is_async=inspect.iscoroutinefunction(handler),
                    retry=retry or Retry(),
                    timeout_seconds=float(timeout),
                    queue=queue,
                    isolation=(Isolation() if isolate else None) if isinstance(isolate, bool) else isolate,
                )
            )
            return handler

        return register

    def _add(self, jobtype: JobType) -> None:
        self._refuse_taken(jobtype)
        self._types[jobtype.name] = jobtype

    def _refuse_taken(self, jobtype: JobType) -> None:
        taken = self._types.get(jobtype.name)
        if taken is not None:
            raise RegistrationError(
                f"@app.job({jobtype.name!r}): this name is taken by {taken.handler.__module__}."
                f"{taken.handler.__qualname__}; give one of the two another name"
            )


def _checked_hook(name: str, hook: Hook) -> Hook:
    if not inspect.iscoroutinefunction(hook) or inspect.signature(hook).parameters:
        raise RegistrationError(f"@app.{name} must stand above an async def without parameters")
    return hook


def _signature(where: str, handler: Callable[..., Any]) -> tuple[bool, Any]:
    """Whether the handler wants the ``Job``, and how its payload is annotated."""
    if not (inspect.isfunction(handler) or inspect.ismethod(handler)):
        raise RegistrationError(f"{where} must stand above a function")
    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        raise RegistrationError(f"{where}: {handler.__qualname__} is a generator; return the result, do not yield")
    shape = f"def {handler.__name__}(payload: YourPayload, job: Job)"
    parameters = list(inspect.signature(handler).parameters.values())
    plain = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    if not 1 <= len(parameters) <= 2 or any(p.kind not in plain for p in parameters):
        raise RegistrationError(f"{where}: the handler takes the payload and, if it likes, the job; write {shape}")
    try:
        hints = typing.get_type_hints(handler)
    except Exception as error:
        raise RegistrationError(
            f"{where}: the annotations of {handler.__qualname__} cannot be resolved ({error}); "
            "define or import the payload's class at module level, above the handler"
        ) from None
    payload = parameters[0].name
    if payload not in hints:
        raise RegistrationError(f"{where}: the payload has no type; annotate it: {shape}")
    if len(parameters) == 2 and hints.get(parameters[1].name, Job) is not Job:
        raise RegistrationError(f"{where}: the second parameter is the job; annotate it with treadle.Job: {shape}")
    return len(parameters) == 2, hints[payload]
