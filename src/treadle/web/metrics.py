"""``GET /metrics``: a process's meters in the formats that Prometheus reads."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

from starlette.responses import Response

from treadle.service.measure import Measuring
from treadle.service.runtime import Runtime
from treadle.telemetry.meters import Reading
from treadle.telemetry.shared import Told
from treadle.web.query import Query
from treadle.web.request import Request

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class MetricsPage:
    """The endpoint; any process that listens may have it."""

    def __init__(self, runtime: Runtime, tell: Callable[[], Told] | None = None) -> None:
        """``tell``: what is told; ``None``, what this process's meters say."""
        self._tell = tell if tell is not None else lambda: Told(runtime.metrics.read())
        self._measuring = Measuring(runtime)

    async def get(self, request: Request) -> Response:
        """``GET /metrics``: text, or OpenMetrics for who asks for it. 200 also while the store is away."""
        Query(request).check()
        await self._measuring.renew()
        accept = (request.field(b"accept") or b"").decode("latin-1")
        # Beside the loop: with many types and routes this is some milliseconds of text.
        text, media_type = await asyncio.to_thread(exposed, self._tell(), accept)
        return Response(text, media_type=media_type)


def exposed(told: Told, accept: str = "") -> tuple[bytes, str]:
    """Readings and the figures of the process or processes (memory, CPU, open files) as bytes, and their media type."""
    # Imported here: three megabytes that a process nobody scrapes does without.
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(_Readings(told.readings))
    if told.pids:
        registry.register(_Processes(told.pids, {reading.name for reading in told.readings}))
    else:
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


class _Processes:
    """A collector of several processes' figures: their sums, but for the start, which is the first one's."""

    def __init__(self, pids: Sequence[int], told: Collection[str]) -> None:
        """``told``: what is told elsewhere already."""
        self._pids = pids
        self._told = told

    def collect(self) -> Iterator[Metric]:
        from prometheus_client import ProcessCollector

        families: dict[str, Metric] = {}
        values: defaultdict[str, list[float]] = defaultdict(list)
        for pid in self._pids:
            for family in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                [sample] = family.samples  # of a process that has just ended there is no family
                families[sample.name] = family
                values[sample.name].append(sample.value)
        for name, family in families.items():
            if name not in self._told:
                value = min(values[name]) if name == "process_start_time_seconds" else sum(values[name])
                family.samples[:] = [family.samples[0]._replace(value=value)]
                yield family


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
