"""Health, readiness and metrics for operators and load balancers; the descriptions of the API."""

from __future__ import annotations

from functools import partial

import orjson
from fastapi import APIRouter, FastAPI, Request, Response

from gateway import __version__
from gateway.errors import NotFound
from gateway.ops import metrics
from gateway.protocol import asyncapi
from gateway.rest.depends import answer
from gateway.rest.kept import Document
from gateway.rest.readiness import Readiness
from gateway.rest.worker import parts_of

router = APIRouter(tags=["operations"])

READ = ["GET", "HEAD"]


@router.get("/healthz")
async def healthz() -> Response:
    """Answer 200 while the process is alive: restart it when this does not answer."""
    return answer({"status": "alive", "version": __version__})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Answer 200 when this worker can serve: database, bus and migrations are fine, no drain.

    `contract` has the views of the CRM that are not as they should be, and what is off.
    """
    parts = parts_of(request)
    readiness: Readiness = request.app.state.readiness
    checks = await readiness.checks(parts)
    # Without Redis, presence is old but served: the bus decides whether the worker is ready.
    ready = all(check == "ok" for name, check in checks.items() if name != "presence")
    report = {
        "status": "ready" if ready else "not ready",
        "roles": parts.settings.roles,
        "checks": checks,
        "contract": parts.contract.report(),
    }
    return answer(report, 200 if ready else 503)


@router.get("/metrics", include_in_schema=False)
async def serve_metrics(request: Request) -> Response:
    """Return this worker's metrics in Prometheus' text format, on a port of its own alone.

    The connection decides: whatever a proxy makes of the path, the shared port has no metrics.
    """
    server = request.scope["server"]
    if server is None or server[1] not in request.app.state.own_ports:
        raise NotFound
    return Response(await parts_of(request).render_metrics(), media_type=metrics.MEDIA_TYPE)


@router.api_route("/openapi.json", methods=READ, include_in_schema=False)
async def openapi_document(request: Request) -> Response:
    """Describe the HTTP half as OpenAPI."""
    document: Document = request.app.state.openapi
    return await document.respond(request)


@router.api_route("/asyncapi.json", methods=READ, include_in_schema=False)
async def asyncapi_document(request: Request) -> Response:
    """Describe the WebSocket as AsyncAPI."""
    document: Document = request.app.state.asyncapi
    return await document.respond(request)


def install(app: FastAPI) -> None:
    """Give an app what these routes keep between two requests."""
    app.state.own_ports = set()
    app.state.readiness = Readiness()
    app.state.openapi = Document(partial(_render_openapi, app))
    app.state.asyncapi = Document(partial(asyncapi.render, __version__))


def _render_openapi(app: FastAPI) -> bytes:
    rendered = orjson.dumps(app.openapi())
    app.openapi_schema = None  # some MB that nothing reads again
    return rendered
