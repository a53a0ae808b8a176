"""/health, /ready and /metrics."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from stylecine.server.metrics import Metrics
from stylecine.server.problems import PROBLEM, Problem
from stylecine.server.service import Service
from stylecine.version import __version__


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = __version__


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
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return router
