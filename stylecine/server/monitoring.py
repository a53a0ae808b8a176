"""/health, /ready, and /metrics for Prometheus."""

import time
from collections.abc import Iterator
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stylecine.server.problems import PROBLEM, Problem
from stylecine.server.service import Service
from stylecine.version import __version__

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # limits of the histogram's buckets


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = __version__


class Metrics(Collector):
    """Counts requests in a middleware, and reads the rest from the service when it is collected."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels, registry = ["method", "route", "status"], self.registry
        self._requests = Counter("stylecine_requests", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "stylecine_request_seconds", "Until answered.", labels[:2], registry=registry, buckets=SECONDS
        )
        self.registry.register(self)

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


def routes(service: Service, metrics: Metrics) -> APIRouter:
    router = APIRouter(tags=["operation"], responses=PROBLEM)

    @router.get("/health")
    async def health() -> Health:
        """The service responds."""
        return Health()

    @router.get("/ready")
    async def ready() -> Health:
        """Photos can be uploaded; the processes for animations load a little later, or with the first one."""
        broken = any(pool.broken and not pool.ready for pool in service.pools.values())
        if service.interactive.ready and not broken:
            return Health()
        detail = (
            "The workers cannot start; the service's log says why."  # with paths, which are not for everyone
            if broken
            else "The workers are still loading; try again in a few seconds."
        )
        raise Problem(503, "NotReady", detail, {"Retry-After": "2"})

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def get_metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")

    return router
