"""Health, readiness and metrics for operators and load balancers; the files of the page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.staticfiles import StaticFiles

from gateway import __version__
from gateway.ops import metrics
from gateway.protocol import asyncapi
from gateway.rest.depends import answer
from gateway.rest.worker import GatewayParts, parts_of

router = APIRouter(tags=["operations"])

WEB = Path(__file__).parent.parent / "web"
READY_S = 2.0


@router.get("/healthz")
async def healthz() -> Response:
    """Answer 200 while the process is alive: restart it when this does not answer."""
    return answer({"status": "alive", "version": __version__})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Answer 200 when this worker can serve: database, bus and migrations are fine, no drain."""
    checks = await _checks(parts_of(request))
    # Without Redis, presence is old but served: the bus decides whether the worker is ready.
    ready = all(check == "ok" for name, check in checks.items() if name != "presence")
    report = {
        "status": "ready" if ready else "not ready",
        "roles": parts_of(request).settings.roles,
        "checks": checks,
    }
    return answer(report, 200 if ready else 503)


@router.get("/metrics", include_in_schema=False)
async def serve_metrics(request: Request) -> Response:
    """Return this worker's metrics in Prometheus' text format."""
    return Response(parts_of(request).render_metrics(), media_type=metrics.MEDIA_TYPE)


@router.get("/asyncapi.json", include_in_schema=False)
def asyncapi_document() -> Response:
    """Describe the WebSocket as AsyncAPI; made in a thread, once."""
    return Response(asyncapi.render(__version__), media_type="application/json")


async def _checks(parts: GatewayParts) -> dict[str, str]:
    database = "ok"
    try:
        async with asyncio.timeout(READY_S):
            pending = await parts.pending_migrations()
        if pending:
            database = f"{len(pending)} migrations are missing: run `gateway migrate`"
    except Exception as error:  # noqa: BLE001 - after any error this worker is not ready
        database = f"unavailable: {type(error).__name__}"
    checks = {
        "database": database,
        "bus": "ok" if parts.bus_healthy else "deaf",
        "draining": "yes" if parts.draining else "ok",
    }
    if parts.settings.takes("sockets", "ingest"):
        checks["presence"] = "degraded" if parts.services.presence.degraded else "ok"
    return checks


class Page(StaticFiles):
    """The files of the page, revalidated at each use: they change with the server."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def mount_page(app: FastAPI) -> None:
    """Serve the page at / behind every route."""
    app.mount("/", Page(directory=WEB, html=True), name="page")
