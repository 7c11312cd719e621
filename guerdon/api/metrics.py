"""Figures for Prometheus: requests by route and status, how long they took, and what the writer did."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from guerdon.writer import Stats

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """One registry per application, so that two in one process do not share figures."""

    def __init__(self, writer: Stats) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_WriterFigures(writer))
        self._requests = Counter(
            "guerdon_http_requests_total",
            "HTTP requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "guerdon_http_request_seconds",
            "Time from the request's head to its answer",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer. `route` is the path's pattern, never the path: that bounds the number of series."""
        key = (method if method in _METHODS else "other", route, status)
        series = self._known.get(key)
        if series is None:
            series = (self._requests.labels(key[0], route, str(status)), self._seconds.labels(route))
            self._known[key] = series
        series[0].inc()
        series[1].observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _WriterFigures(Collector):
    """Reads the writer's plain counters when asked."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        for name in Stats.__slots__:
            family = GaugeMetricFamily if name.startswith("waiting_") else CounterMetricFamily
            yield family(f"guerdon_writer_{name}", f"Writer: {name}", value=getattr(self._stats, name))
