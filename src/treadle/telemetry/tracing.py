"""Traces: a job goes on with the trace that its submission was part of (W3C Trace Context, level 1).

Through OpenTelemetry's API, and only where the user's own code has imported it (the extra ``otel``): nobody else can
have spans, so that without it there is nothing to pay and nothing to install.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_API = "opentelemetry.trace"
_SPEC = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<ids>[0-9a-f]{32}-[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
_SAMPLED = 0x01


def read_traceparent(text: str) -> str | None:
    """The header field as version 00 writes it; ``None`` where it is invalid, and then there was none (section 3.2).

    Of a version to come the members that this one knows are read; of the flags only ``sampled`` is passed on.
    """
    match = _SPEC.fullmatch(text)
    if match is None or (match["version"] == "00" and match["rest"] is not None):
        return None
    trace_id, span_id = match["ids"].split("-")
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return f"00-{match['ids']}-{int(match['flags'], 16) & _SAMPLED:02x}"


def current_traceparent() -> str | None:
    """The span that runs here, as a ``traceparent``; ``None`` where there is none."""
    api = _api()
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & _SAMPLED:02x}"


@contextmanager
def span(
    name: str, traceparent: str | None, attributes: Mapping[str, Any], fine: tuple[type[BaseException], ...]
) -> Iterator[None]:
    """A span around the block, current inside it and a child of ``traceparent``; nothing without OpenTelemetry.

    An exception that leaves the block is recorded and makes the span an error, unless it is one of ``fine``.
    """
    api = _api()
    if api is None:
        yield
        return
    tracer: Tracer = api.get_tracer("treadle")
    kind = api.SpanKind.CONSUMER
    with tracer.start_as_current_span(
        name,
        context=_parent(api, traceparent),
        kind=kind,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        try:
            yield
        except fine:
            raise
        except BaseException as error:
            opened.record_exception(error)
            opened.set_status(api.StatusCode.ERROR, type(error).__name__)
            raise


def flush(seconds: float) -> None:
    """Let the user's SDK send what it holds, before the process ends without the hooks of an ordinary exit; blocks."""
    api = _api()
    force = None if api is None else getattr(api.get_tracer_provider(), "force_flush", None)
    if force is not None:
        force(int(seconds * 1000))


def has_spans(traceparent: str | None = None) -> bool:
    """Whether a span may be seen by anybody: an SDK makes spans, or there is a ``traceparent`` to hand on."""
    api = _api()
    if api is None:
        return False
    # The API alone is often there, as somebody's dependency; its tracers make nothing, and not for nothing.
    return traceparent is not None or type(api.get_tracer_provider()).__module__ != "opentelemetry.trace"


def _api() -> Any:
    api: ModuleType | None = sys.modules.get(_API)
    return api


def _parent(api: Any, traceparent: str | None) -> Any:
    """A context that holds the remote span alone: what runs in the handlers' thread is no parent of a job."""
    if traceparent is None:
        return api.set_span_in_context(api.INVALID_SPAN)
    _, trace_id, span_id, flags = traceparent.split("-")
    remote = api.SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=api.TraceFlags(int(flags, 16))
    )
    return api.set_span_in_context(api.NonRecordingSpan(remote))
