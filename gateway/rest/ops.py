"""For operators and load balancers: alive, ready, figures; and the page's files."""

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
    """Say that the process is alive: restart it when this does not answer."""
    return answer({"status": "alive", "version": __version__})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Say whether this worker can serve: database, bus and migrations right, not draining."""
    checks = await _checks(parts_of(request))
    # Presence without Redis is frozen, not wrong: the bus decides whether we are ready.
    ready = all(check == "ok" for name, check in checks.items() if name != "presence")
    said = {
        "status": "ready" if ready else "not ready",
        "roles": parts_of(request).settings.roles,
        "checks": checks,
    }
    return answer(said, 200 if ready else 503)


@router.get("/metrics", include_in_schema=False)
async def figures(request: Request) -> Response:
    """Prometheus' text format, of this worker."""
    return Response(parts_of(request).figures(), media_type=metrics.MEDIA_TYPE)


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
    except Exception as error:  # noqa: BLE001 - whatever it is, this worker is not ready
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
    """The page's files, always asked for anew: they are small and change with the server."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def mount_page(app: FastAPI) -> None:
    """Serve the page at / behind every route."""
    app.mount("/", Page(directory=WEB, html=True), name="page")
