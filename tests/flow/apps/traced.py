"""Handlers of every kind with OpenTelemetry; ended spans go to a file, through a processor that holds them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from treadle import Retry, Snooze, Treadle

SPANS = Path("spans.jsonl")
HELD_BACK_MS = 600_000
"""Longer than any test: what is in the file was flushed."""


class _File(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with SPANS.open("a") as file:
            for span in spans:
                context, parent = span.get_span_context(), span.parent
                assert context is not None
                told = {
                    "name": span.name,
                    "trace": f"{context.trace_id:032x}",
                    "span": f"{context.span_id:016x}",
                    "parent": None if parent is None else f"{parent.span_id:016x}",
                    "status": span.status.status_code.name,
                    "events": [event.name for event in span.events],
                    "attributes": dict(span.attributes or {}),
                }
                file.write(json.dumps(told) + "\n")
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(_File(), schedule_delay_millis=HELD_BACK_MS))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("app")
app = Treadle()


def _inside(kind: str) -> None:
    with tracer.start_as_current_span(f"inside {kind}"):
        pass


@app.job("ASYNC")
async def on_the_loop(payload: dict[str, Any]) -> None:
    _inside("async")


@app.job("THREAD")
def in_a_thread(payload: dict[str, Any]) -> None:
    _inside("thread")


@app.job("ISOLATED", isolate=True)
def in_a_child(payload: dict[str, Any]) -> None:
    _inside("isolated")


@app.job("FAILS", retry=Retry(attempts=1))
async def fails(payload: dict[str, Any]) -> None:
    raise ValueError("on purpose")


_snoozed: set[str] = set()


@app.job("SNOOZES")
async def snoozes(payload: dict[str, Any]) -> None:
    if "once" not in _snoozed:
        _snoozed.add("once")
        raise Snooze(0.01)


@app.job("SUBMITS")
async def submits(payload: dict[str, Any]) -> None:
    await app.submit("ASYNC", {})
