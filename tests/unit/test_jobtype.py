"""Registering job types: a mistake is met by a person at a desk, so every refusal says how to mend it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pydantic
import pytest

from treadle import Job, Retry
from treadle.errors import RegistrationError
from treadle.jobtype import JobType, Registry

if TYPE_CHECKING:
    from pathlib import Path as OnlyForTypeCheckers


class Thumbnail(msgspec.Struct):
    url: str


@dataclasses.dataclass
class Report:
    month: str


class Invoice(pydantic.BaseModel):
    number: int


async def async_handler(payload: Thumbnail, job: Job) -> None: ...


def plain_handler(payload: Report) -> None: ...


def pydantic_handler(payload: Invoice, job: Job) -> None: ...


def dict_handler(payload: dict[str, Any], job) -> None: ...  # type: ignore[no-untyped-def]


class Holder:
    async def method(self, payload: Thumbnail) -> None: ...


@pytest.fixture
def registry() -> Registry:
    return Registry()


def refusal(register: Callable[[], object]) -> str:
    with pytest.raises(RegistrationError) as refused:
        register()
    return str(refused.value)


# ------------------------------------------------------------------------------ what is registered


def test_a_type_keeps_what_was_said_about_it(registry: Registry) -> None:
    retry = Retry(attempts=5)
    registry.job("THUMBNAIL", retry=retry, timeout=30, queue="images")(async_handler)

    jobtype = registry.get("THUMBNAIL")

    assert isinstance(jobtype, JobType)
    assert jobtype.handler is async_handler
    assert (jobtype.name, jobtype.queue, jobtype.timeout_seconds) == ("THUMBNAIL", "images", 30.0)
    assert (jobtype.retry, jobtype.takes_job, jobtype.is_async) == (retry, True, True)
    assert jobtype.model.decode(b'{"url":"x"}') == Thumbnail("x")


def test_a_type_about_which_nothing_was_said_has_the_defaults(registry: Registry) -> None:
    registry.job("REPORT")(plain_handler)

    jobtype = registry.get("REPORT")

    assert jobtype is not None
    assert (jobtype.queue, jobtype.timeout_seconds, jobtype.retry) == ("default", 900.0, Retry())
    assert (jobtype.takes_job, jobtype.is_async) == (False, False)


def test_the_decorated_function_stays_what_it_was(registry: Registry) -> None:
    assert registry.job("A")(async_handler) is async_handler


@pytest.mark.parametrize(
    ("handler", "payload", "expected"),
    [
        (async_handler, b'{"url":"x"}', Thumbnail("x")),
        (plain_handler, b'{"month":"May"}', Report("May")),
        (pydantic_handler, b'{"number":7}', Invoice(number=7)),
        (dict_handler, b'{"a":1}', {"a": 1}),
        (Holder().method, b'{"url":"x"}', Thumbnail("x")),
    ],
)
def test_every_kind_of_handler_gets_the_payload_that_it_is_annotated_with(
    registry: Registry, handler: Callable[..., Any], payload: bytes, expected: object
) -> None:
    registry.job("A")(handler)

    jobtype = registry.get("A")

    assert jobtype is not None
    assert jobtype.model.decode(payload) == expected


def test_a_wrapped_handler_is_seen_through_its_wrapper(registry: Registry) -> None:
    @functools.wraps(async_handler)
    async def wrapper(*args: Any) -> None:
        await async_handler(*args)

    registry.job("A")(wrapper)

    jobtype = registry.get("A")
    assert jobtype is not None
    assert (jobtype.takes_job, jobtype.is_async, jobtype.handler) == (True, True, wrapper)


def test_types_are_listed_in_the_order_of_registration(registry: Registry) -> None:
    for name in ("B", "A", "C"):
        registry.job(name)(async_handler)

    assert registry.names == ("B", "A", "C")
    assert [jobtype.name for jobtype in registry] == ["B", "A", "C"]
    assert len(registry) == 3
    assert registry.get("D") is None


# ------------------------------------------------------------------------------ names and policies


@pytest.mark.parametrize("name", ["A", "a", "CSV_EXPORT", "mail.send-2", "x" * 128])
def test_a_plain_name_is_allowed(registry: Registry, name: str) -> None:
    registry.job(name)(async_handler)

    assert registry.names == (name,)


@pytest.mark.parametrize(
    "name",
    ["", " ", "1A", "_A", "A B", "A\n", "x" * 129, "Ä", "A/B", "A٣", None, 5, async_handler, b"A"],
)
def test_any_other_name_is_refused_with_an_example(registry: Registry, name: Any) -> None:
    told = refusal(lambda: registry.job(name))

    assert '@app.job("THUMBNAIL")' in told
    assert "at most 128" in told


@pytest.mark.parametrize("timeout", [0, -1, 7 * 86_400 + 1, float("nan"), float("inf"), "30", None, True])
def test_a_timeout_must_be_seconds_up_to_a_week(registry: Registry, timeout: Any) -> None:
    told = refusal(lambda: registry.job("A", timeout=timeout))

    assert "@app.job('A')" in told
    assert "timeout= must be seconds, more than 0 and at most 604800" in told


@pytest.mark.parametrize("timeout", [0.001, 7 * 86_400])
def test_the_shortest_and_the_longest_timeout_are_allowed(registry: Registry, timeout: float) -> None:
    registry.job("A", timeout=timeout)(async_handler)

    (jobtype,) = registry
    assert jobtype.timeout_seconds == timeout


@pytest.mark.parametrize("queue", ["", "Images", "high_priority", "a b", "x" * 64, None, 5])
def test_a_queue_must_have_a_queue_name(registry: Registry, queue: Any) -> None:
    told = refusal(lambda: registry.job("A", queue=queue))

    assert "queue= must be [a-z0-9][a-z0-9_-]{0,62}, and not high_priority" in told


@pytest.mark.parametrize("retry", [3, {"attempts": 3}, Retry, "3"])
def test_a_policy_must_be_a_retry(registry: Registry, retry: Any) -> None:
    told = refusal(lambda: registry.job("A", retry=retry))

    assert "retry=Retry(attempts=5)" in told


def test_a_name_can_be_given_once_and_the_refusal_tells_to_whom(registry: Registry) -> None:
    registry.job("A")(async_handler)

    told = refusal(lambda: registry.job("A")(plain_handler))

    assert f"{__name__}.async_handler" in told
    assert "give one of the two another name" in told
    (jobtype,) = registry
    assert jobtype.handler is async_handler


# ------------------------------------------------------------------------------ handlers


def no_parameters() -> None: ...
def three_parameters(payload: Thumbnail, job: Job, more: int) -> None: ...
def keyword_only(*, payload: Thumbnail) -> None: ...
def job_by_keyword(payload: Thumbnail, *, job: Job) -> None: ...
def star(*payload: Thumbnail) -> None: ...
def stars(payload: Thumbnail, **more: Any) -> None: ...


@pytest.mark.parametrize("handler", [no_parameters, three_parameters, keyword_only, job_by_keyword, star, stars])
def test_a_handler_takes_the_payload_and_perhaps_the_job(registry: Registry, handler: Callable[..., Any]) -> None:
    told = refusal(lambda: registry.job("A")(handler))

    assert f"write def {handler.__name__}(payload: YourPayload, job: Job)" in told


def unannotated(payload) -> None: ...  # type: ignore[no-untyped-def]
def only_the_job_annotated(payload, job: Job) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize("handler", [unannotated, only_the_job_annotated])
def test_a_payload_needs_a_type(registry: Registry, handler: Callable[..., Any]) -> None:
    told = refusal(lambda: registry.job("A")(handler))

    assert "the payload has no type; annotate it: def" in told


def wrong_job(payload: Thumbnail, job: str) -> None: ...
def swapped(job: Job, payload: Thumbnail) -> None: ...


@pytest.mark.parametrize("handler", [wrong_job, swapped])
def test_the_second_parameter_is_the_job(registry: Registry, handler: Callable[..., Any]) -> None:
    told = refusal(lambda: registry.job("A")(handler))

    assert "annotate it with treadle.Job" in told


def unknown_name(payload: NoSuchClass) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def type_checking_only(payload: OnlyForTypeCheckers) -> None: ...


@pytest.mark.parametrize(
    ("handler", "missing"),
    [(unknown_name, "NoSuchClass"), (type_checking_only, "OnlyForTypeCheckers")],
)
def test_an_annotation_that_cannot_be_resolved_is_refused_with_its_name(
    registry: Registry, handler: Callable[..., Any], missing: str
) -> None:
    told = refusal(lambda: registry.job("A")(handler))

    assert missing in told
    assert "define or import the payload's class at module level, above the handler" in told


def test_a_class_inside_a_function_cannot_be_resolved_and_the_refusal_says_where_it_belongs(
    registry: Registry,
) -> None:
    class Inside(msgspec.Struct):
        a: int

    def handler(payload: Inside) -> None: ...

    assert "at module level" in refusal(lambda: registry.job("A")(handler))


def wrong_model(payload: int) -> None: ...


def test_a_payload_that_is_no_model_is_refused_with_the_name_of_the_type(
    registry: Registry,
) -> None:
    told = refusal(lambda: registry.job("A")(wrong_model))

    assert told.startswith("@app.job('A'): ")
    assert "msgspec.Struct, a dataclass, a pydantic model or a dict" in told


def generator(payload: Thumbnail) -> Any:
    yield 1


async def async_generator(payload: Thumbnail) -> Any:
    yield 1


@pytest.mark.parametrize("handler", [generator, async_generator])
def test_a_handler_returns_and_does_not_yield(registry: Registry, handler: Callable[..., Any]) -> None:
    assert "return the result, do not yield" in refusal(lambda: registry.job("A")(handler))


class CallableObject:
    async def __call__(self, payload: Thumbnail) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        None,
        5,
        "text",
        Thumbnail,
        CallableObject,
        CallableObject(),
        functools.partial(async_handler),
        print,
    ],
)
def test_a_handler_is_a_function(registry: Registry, handler: Any) -> None:
    told = refusal(lambda: registry.job("A")(handler))

    assert "@app.job('A') must stand above a function" in told


def test_a_refused_type_leaves_the_registry_as_it_was(registry: Registry) -> None:
    refusal(lambda: registry.job("A")(wrong_model))

    assert registry.names == ()


# ------------------------------------------------------------------------------ hooks


async def hook() -> None: ...
async def another_hook() -> None: ...


def test_hooks_are_kept_in_order_and_stay_what_they_were(registry: Registry) -> None:
    assert registry.on_start(hook) is hook
    assert registry.on_start(another_hook) is another_hook
    assert registry.on_stop(hook) is hook

    assert registry.start_hooks == [hook, another_hook]
    assert registry.stop_hooks == [hook]


def plain_hook() -> None: ...
async def hook_with_parameters(app: object) -> None: ...
async def yielding_hook() -> Any:
    yield 1


@pytest.mark.parametrize("wrong", [plain_hook, hook_with_parameters, yielding_hook, None, Thumbnail])
@pytest.mark.parametrize("name", ["on_start", "on_stop"])
def test_a_hook_is_an_async_def_without_parameters(registry: Registry, name: str, wrong: Any) -> None:
    told = refusal(lambda: getattr(registry, name)(wrong))

    assert told == f"@app.{name} must stand above an async def without parameters"
    assert registry.start_hooks == registry.stop_hooks == []


# ------------------------------------------------------------------------------ include


def test_including_takes_over_types_and_hooks(registry: Registry) -> None:
    other = Registry()
    other.job("B", queue="images")(plain_handler)
    other.on_start(hook)
    other.on_stop(another_hook)
    registry.job("A")(async_handler)

    registry.include(other)

    assert registry.names == ("A", "B")
    assert registry.get("B") is other.get("B")
    assert (registry.start_hooks, registry.stop_hooks) == ([hook], [another_hook])


def test_including_a_name_that_is_taken_is_refused_and_takes_over_nothing(
    registry: Registry,
) -> None:
    registry.job("A")(async_handler)
    other = Registry()
    other.job("B")(plain_handler)
    other.job("A")(plain_handler)
    other.on_start(hook)

    told = refusal(lambda: registry.include(other))

    assert f"{__name__}.async_handler" in told
    assert "another name" in told
    assert registry.names == ("A",)
    assert registry.start_hooks == []


def test_the_included_registry_is_left_as_it_was(registry: Registry) -> None:
    other = Registry()
    other.job("B")(plain_handler)

    registry.include(other)
    registry.job("A")(async_handler)

    assert other.names == ("B",)
