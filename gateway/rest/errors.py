"""GatewayError → JSON body and status. A refusal never repeats the request's data."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gateway.errors import (
    GatewayError,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotFound,
    TooLarge,
)
from gateway.protocol import Refusal, codec
from gateway.protocol.frame import frame
from gateway.rest.methods import methods_of
from gateway.rest.request_id import HEADER, request_id_of

log = structlog.get_logger(__name__)


@frame
class RefusalBody:
    """The body of every refused request."""

    error: Refusal


def body(error: GatewayError) -> Response:
    """Build the response to a refused request."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        codec.encode({"error": codec.refusal(error)}),
        error.http_status,
        headers,
        media_type="application/json",
    )


def install(app: FastAPI) -> None:
    """Give every refusal of this app the same form."""

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)
        return body(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return body(_invalid(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        answer = body(_of_status(error.status_code))
        answer.status_code = error.status_code
        if error.status_code == 405:
            known = methods_of(app, dict(request.scope))
            answer.headers["Allow"] = ", ".join(known) or (error.headers or {}).get("Allow", "")
        return answer

    async def unexpected(request: Request, error: Exception) -> Response:
        request_id = request_id_of(request.scope)
        log.error("request.failed", path=request.url.path, request=request_id, exc_info=error)
        request.state.logged = True  # Starlette raises it again
        answer = body(GatewayError())
        answer.headers[HEADER] = request_id  # Starlette sends it past all middleware
        return answer

    app.add_exception_handler(GatewayError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)


def _invalid(error: RequestValidationError) -> GatewayError:
    first: dict[str, Any] = dict(error.errors()[0])
    if first["type"] == "json_invalid":
        return Malformed()
    path = ".".join(str(part) for part in first["loc"] if part != "body")
    message = codec.plain_message(first["type"], str(first["msg"]))
    return Invalid(message, path=path[:200] or None)


def _of_status(status: int) -> GatewayError:
    known: dict[int, type[GatewayError]] = {
        400: Malformed, 404: NotFound, 405: MethodNotAllowed, 413: TooLarge,
    }  # fmt: skip
    return known.get(status, GatewayError)()
