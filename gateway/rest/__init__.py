"""The same commands over HTTP, and what operators need.

app = build(settings); app.state.gateway is set when its lifespan begins.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from gateway import __version__
from gateway.rest import demo, errors, messenger, ops, telephony
from gateway.rest.body_limit import BodyLimit
from gateway.rest.depends import Throttle
from gateway.rest.errors import RefusalBody
from gateway.rest.headers import SecurityHeaders
from gateway.settings import Settings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": RefusalBody, "description": description}
    for status, description in (
        (400, "Not valid JSON"),
        (401, "No valid token"),
        (403, "Not allowed"),
        (404, "No such thing, or not yours"),
        (408, "The body came too slowly"),
        (409, "The client_key is another message's"),
        (413, "Too large, or too many"),
        (422, "A field is wrong; `path` says which"),
        (429, "Too fast; `retry_after` says how long to wait"),
        (503, "Try again after `retry_after` seconds"),
    )
}

DESCRIPTION = """\
The HTTP half of the gateway: the same use cases as the WebSocket at `/v1/ws`, for servers and \
for clients that only ask. Every list has a hard maximum and a cursor; every refusal is \
`{"error": {"code", "message", "path"?, "retry_after"?}}`."""


def build(settings: Settings, lifespan: Lifespan) -> FastAPI:
    """Build the FastAPI app."""
    app = FastAPI(
        title="CRM gateway",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=REFUSALS,
    )
    app.state.throttle = Throttle()
    errors.install(app)
    app.add_middleware(
        BodyLimit,
        limit=settings.max_body_bytes,
        larger={telephony.EVENTS: settings.max_webhook_bytes},
        within_s=settings.body_s,
    )
    app.add_middleware(SecurityHeaders)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.include_router(messenger.router)
    app.include_router(telephony.router)
    app.include_router(ops.router)
    if settings.demo:
        app.include_router(demo.router)
    ops.mount_page(app)
    return app
