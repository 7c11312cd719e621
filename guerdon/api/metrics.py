"""Figures for Prometheus: requests by route and status, and how long they took."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One registry per application, so that two in one process do not share figures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
        """Count one answer. `route` is the path's pattern, never the path, so that the number of series is bounded."""
        key = (method if method in _METHODS else "other", route, status)
        series = self._known.get(key)
        if series is None:
            series = (self._requests.labels(key[0], route, str(status)), self._seconds.labels(route))
            self._known[key] = series
        series[0].inc()
        series[1].observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
