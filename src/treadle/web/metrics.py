"""``GET /metrics``: a process's meters in the formats that Prometheus reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from starlette.responses import Response

from treadle.service.measure import Measuring
from treadle.service.runtime import Runtime
from treadle.telemetry.meters import Reading
from treadle.web.query import Query
from treadle.web.request import Request

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class MetricsPage:
    """The endpoint; any process that listens may have it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._measuring = Measuring(runtime)

    async def get(self, request: Request) -> Response:
        """``GET /metrics``: text, or OpenMetrics for who asks for it. 200 also while the store is away."""
        Query(request).check()
        await self._measuring.renew()
        accept = (request.field(b"accept") or b"").decode("latin-1")
        # Beside the loop: with many types and routes this is some milliseconds of text.
        text, media_type = await asyncio.to_thread(exposed, self._runtime.metrics.read(), accept)
        return Response(text, media_type=media_type)


def exposed(readings: Sequence[Reading], accept: str = "") -> tuple[bytes, str]:
    """``readings`` and the figures of this process (memory, CPU, open files) as bytes, and their media type."""
    # Imported here: three megabytes that a process nobody scrapes does without.
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(_Readings(readings))
    ProcessCollector(registry=registry)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Readings:
    """A collector in the library's sense."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        for reading in self._readings:
            yield _family(reading)


def _family(reading: Reading) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    name, meaning, labels = reading.name, reading.meaning, reading.labels
    if reading.kind == "histogram":
        histogram = HistogramMetricFamily(name, meaning, labels=labels)
        bounds = [*(str(float(bound)) for bound in reading.buckets), "+Inf"]
        for values, series in reading.series.items():
            *counts, total = series
            histogram.add_metric(values, list(zip(bounds, accumulate(counts), strict=True)), total)
        return histogram
    kind = CounterMetricFamily if reading.kind == "counter" else GaugeMetricFamily
    family = kind(name, meaning, labels=labels)
    for values, [value] in reading.series.items():
        family.add_metric(values, value)
    return family
