"""The same commands over HTTP, and what operators need.

app = build(settings); app.state.gateway is set when its lifespan begins.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter
from starlette.middleware.cors import CORSMiddleware

from gateway import __version__
from gateway.files.local import PATH as LOCAL_FILES
from gateway.limits import KeyedRate
from gateway.protocol.frame import MAX_INT
from gateway.rest import (
    audit,
    by_system,
    call_work,
    callbacks,
    connections,
    conversations,
    demo,
    drafts,
    errors,
    events,
    export,
    files,
    jobs,
    messages,
    messenger,
    ops,
    presence,
    quality,
    receipts,
    search,
    sign_in,
    telephony,
    telephony_stats,
    wallboard,
)
from gateway.rest.anonymous import AnonymousLimit
from gateway.rest.body_limit import BodyLimit
from gateway.rest.depends import ANSWERS
from gateway.rest.errors import RefusalBody
from gateway.rest.headers import SecurityHeaders
from gateway.rest.page import Page
from gateway.rest.request_id import HEADER as REQUEST_ID
from gateway.rest.request_id import RequestIds
from gateway.settings import Settings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RefusalBody"}}},
    }
    for status, description in (
        (400, "Not valid JSON"),
        (401, "No valid token"),
        (403, "Not allowed"),
        (404, "No such thing, or not yours"),
        (408, "The body came too slowly"),
        (409, "The client_key is another message's"),
        (413, "Too large, or too many"),
        (415, "Files of this type are not taken"),
        (422, "A field is wrong; `path` names it"),
        (
            429,
            "Too fast, or too many from one address; `retry_after` is the time to wait in seconds",
        ),
        (503, "Try again after `retry_after` seconds"),
    )
}

BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}

DESCRIPTION = """\
The HTTP half of the gateway: the same use cases as the WebSocket at `/v1/ws`, for servers and \
for clients that only ask. Every list has a hard maximum and a cursor; every refusal is \
`{"error": {"code", "message", "path"?, "retry_after"?}}`. Integers are written \
without a fraction: 7, not 7.0. Every answer has an `X-Request-Id`: that of the request if it is \
8 to 64 of `A-Z a-z 0-9 _ -`, else a new one; the audit names it."""


class Described(FastAPI):
    """Describes what all refusals look like once, and each answer.

    As a response model, FastAPI builds ten validators of it per route: 2 s at the first request.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        document: dict[str, Any] = super().openapi()
        bodies = {"RefusalBody": RefusalBody, **ANSWERS}
        of, shared = TypeAdapter.json_schemas(
            [(name, "serialization", TypeAdapter(body)) for name, body in bodies.items()],
            ref_template="#/components/schemas/{model}",
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in {**shared["$defs"], **_by_name(of)}.items():
            schemas.setdefault(name, schema)
        _make_exact(document)
        return document


def _by_name(of: dict[tuple[str, Any], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the schemas to which no other schema refers."""
    return {name: schema for (name, _), schema in of.items() if "$ref" not in schema}


def _make_exact(part: Any) -> None:
    """Say what FastAPI and pydantic know, and write inexactly or leave out.

    The bounds of integers in bodies became floats, among which 2**63 - 1 is not. Where the keys of
    an object have a pattern, others are refused.
    """
    if isinstance(part, dict):
        if part.get("type") == "integer":
            for name in BOUNDS & part.keys():
                part[name] = min(int(part[name]), MAX_INT)
        if "patternProperties" in part:
            part.setdefault("additionalProperties", False)
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            _make_exact(one)


def build(settings: Settings, lifespan: Lifespan) -> FastAPI:
    """Build the FastAPI app."""
    app = Described(
        title="CRM gateway",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=REFUSALS,
    )
    app.state.commands_rate = KeyedRate[int](settings.commands_per_s, settings.commands_burst)
    app.state.exchanges_rate = KeyedRate[str](sign_in.EXCHANGES_PER_S, sign_in.EXCHANGES_BURST)
    errors.install(app)
    ops.install(app)
    app.add_middleware(
        BodyLimit,
        limit=settings.max_body_bytes,
        larger={
            telephony.EVENTS: settings.max_webhook_bytes,
            events.EVENTS: settings.max_events_bytes,
        },
        within_s=settings.body_s,
        streamed=LOCAL_FILES,
    )
    app.add_middleware(
        AnonymousLimit,
        rate=KeyedRate(settings.anonymous_per_s, settings.anonymous_burst),
        trusted=settings.trusted_proxies,
    )
    app.add_middleware(
        SecurityHeaders, files_origin=lambda: files.origin(app), pictures=settings.picture_origins
    )
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", REQUEST_ID],
            expose_headers=[REQUEST_ID],
        )
    app.add_middleware(RequestIds)
    if settings.takes("sockets"):
        app.include_router(messenger.router)
        app.include_router(conversations.router)
        app.include_router(by_system.router)
        app.include_router(connections.router)
        app.include_router(receipts.router)
        app.include_router(messages.router)
        app.include_router(search.router)
        app.include_router(presence.router)
        app.include_router(drafts.router)
        app.include_router(export.router)
        app.include_router(audit.router)
        app.include_router(jobs.router)
        app.include_router(events.router)
        app.include_router(files.router)
        app.include_router(telephony.router)
        app.include_router(call_work.router)
        app.include_router(quality.router)
        app.include_router(telephony_stats.router)
        app.include_router(wallboard.router)
        app.include_router(callbacks.router)
        app.include_router(sign_in.router)
    if settings.takes("ingest"):
        app.include_router(telephony.events)
    app.include_router(ops.router)
    if settings.demo:
        app.include_router(demo.router)
    if settings.takes("sockets"):
        app.mount("/", Page(reread=settings.demo), name="page")
    return app


async def warm_up(app: FastAPI) -> None:
    """Request a path that does not exist: FastAPI builds its validators at the first request.

    That takes half a second, in which nobody on the same event loop is served.
    """

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        return

    asked = {"type": "http", "http_version": "1.1", "method": "HEAD", "scheme": "http"}
    where = {"path": "/-", "raw_path": b"/-", "root_path": "", "query_string": b"", "headers": []}
    await app({**asked, **where, "client": None, "server": None}, receive, send)
