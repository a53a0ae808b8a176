"""Metrics for Prometheus."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stylecine.server.service import Service

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics(Collector):
    """Counts requests in a middleware, and reads the rest from the service when it is collected."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels, registry = ["method", "route", "status"], self._registry
        self._requests = Counter("stylecine_requests", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "stylecine_request_seconds", "Until answered.", labels[:2], registry=registry, buckets=SECONDS
        )
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        service = self.service
        waiting = GaugeMetricFamily("stylecine_waiting_tasks", "Tasks that wait for a worker.", labels=["pool"])
        workers = GaugeMetricFamily("stylecine_workers", "Processes that work.", labels=["pool", "state"])
        restarts = CounterMetricFamily("stylecine_worker_restarts", "Processes started again.", labels=["pool"])
        for name, pool in service.pools.items():
            waiting.add_metric([name], pool.waiting)
            states = pool.states
            for state in ("loading", "idle", "busy"):
                workers.add_metric([name, state], states.count(state))
            restarts.add_metric([name], pool.restarts)
        kept = GaugeMetricFamily("stylecine_kept", "Scenes and animations in the store.", labels=["kind", "state"])
        for kind in ("scenes", "animations"):
            for state, number in service.store.count(kind).items():
                kept.add_metric([kind, state], number)
        ended = CounterMetricFamily("stylecine_ended", "Scenes and animations that ended.", labels=["kind", "state"])
        for (kind, state), number in service.finished.items():
            ended.add_metric([kind, state], number)
        used = GaugeMetricFamily("stylecine_disk_bytes", "What all files take.", service.bytes_used)
        yield from (waiting, workers, restarts, kept, ended, used)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """ASGI middleware."""

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            start, status = time.monotonic(), 500

            async def send_and_note(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, send_and_note)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                # or clients could create any number of labels
                method = scope["method"] if route != "none" and scope["method"] in METHODS else "any"
                self._requests.labels(method, route, str(status)).inc()
                self._seconds.labels(method, route).observe(time.monotonic() - start)

        return handle
