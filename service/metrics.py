"""Metrics for Prometheus. Each application has a registry of its own: nothing is global."""

from collections.abc import Callable

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from .observation import RequestRecord
from .request_log import METRICS_PATH

_BUCKETS_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""From a cached pair to a request that fills the queue of a small device."""

_TOTALS = {
    "documents": "Documents ranked.",
    "pairs": "Pairs that a graph was run for: neither repeated in their request nor cached.",
    "tokens": "Tokens of all ranked pairs after cutting, cached ones included.",
    "query_cuts": "Requests whose query was cut to half of the model's window.",
    "document_cuts": "Documents of which a part was not read.",
    "cache_hits": "Scores that the cache had.",
    "cache_misses": "Scores that the cache was asked for in vain.",
}


class Metrics:
    """What is counted and measured of one application."""

    def __init__(self, *, has_cache: bool) -> None:
        """Start at zero; without a cache, nothing is asked of it in vain."""
        self._has_cache = has_cache
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # resident memory, CPU seconds, open files
        self._requests = Counter(
            "ranklet_requests",
            "Requests by the route that matched and the status that was answered.",
            ["route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "ranklet_request_seconds",
            "From the end of a ranking request's head to the end of its answer.",
            buckets=_BUCKETS_SECONDS,
            registry=self.registry,
        )
        stages = Histogram(
            "ranklet_stage_seconds",
            "What ranking requests spent in the queue until a worker began, and workers on their "
            "tokenization and scoring; workers that run at once add up.",
            ["stage"],
            buckets=_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._queue, self._tokenize, self._score = (
            stages.labels(stage) for stage in ("queue", "tokenize", "score")
        )
        self._totals = {
            name: Counter(f"ranklet_{name}", words, registry=self.registry)
            for name, words in _TOTALS.items()
        }

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Give ``value()`` as the gauge ``ranklet_<name>`` whenever somebody asks."""
        Gauge(f"ranklet_{name}", description, registry=self.registry).set_function(value)

    def observe(self, record: RequestRecord) -> None:
        """Count a request that was answered, and what it took if it succeeded."""
        if record.status == 0:
            return
        self._requests.labels(record.route, str(record.status)).inc()
        if record.times is None or record.status >= 400:  # noqa: PLR2004 - the first of errors
            return
        self._seconds.observe(record.seconds)
        self._queue.observe(record.times.queue_seconds)
        self._tokenize.observe(record.times.tokenization_seconds)
        self._score.observe(record.times.inference_seconds)
        totals = self._totals
        totals["documents"].inc(record.documents or 0)
        totals["pairs"].inc(record.pairs)
        totals["tokens"].inc(record.tokens or 0)
        totals["query_cuts"].inc(record.query_was_cut)
        totals["document_cuts"].inc(record.documents_cut)
        totals["cache_hits"].inc(record.cached)
        if self._has_cache:
            totals["cache_misses"].inc(record.pairs)


_MEDIA_TYPE = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")  # Litestar adds it


def metrics_route(metrics: Metrics) -> HTTPRouteHandler:
    """Make the route that Prometheus scrapes."""

    @get(METRICS_PATH)
    async def show() -> Response[bytes]:
        return Response(generate_latest(metrics.registry), media_type=_MEDIA_TYPE)

    return show
