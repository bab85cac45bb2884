"""From an HTTP request to a Context, and from a result to a JSON response."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BeforeValidator, WithJsonSchema
from starlette.types import Receive, Scope, Send

from gateway.audit import Origin
from gateway.auth.subjects import from_external
from gateway.context import Context
from gateway.errors import KeysUnavailable, Malformed, TokenMissing, TooFast
from gateway.limits import KeyedRate
from gateway.protocol import codec
from gateway.protocol.frame import MAX_INT, Id
from gateway.rest import anonymous
from gateway.rest.request_id import request_id_of
from gateway.rest.worker import parts_of

BEARER = HTTPBearer(auto_error=False, description="The same token as the socket's.")
SAFE = {"GET", "HEAD"}

RowId = Annotated[int, Path(ge=1, le=MAX_INT)]
IdQuery = Annotated[int | None, Query(ge=1, le=MAX_INT)]

EITHER = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        ],
        "description": "The number that the gateway gives, or the CRM's own id.",
    }
)
_employee = BeforeValidator(partial(from_external, "employee"))
_customer = BeforeValidator(partial(from_external, "customer"))
EmployeeId = Annotated[Id, _employee, EITHER]
EmployeePath = Annotated[int, _employee, EITHER, Path(ge=1, le=MAX_INT)]
EmployeeQuery = Annotated[int | None, _employee, EITHER, Query(ge=1, le=MAX_INT)]
CustomerQuery = Annotated[int | None, _customer, EITHER, Query(ge=1, le=MAX_INT)]
Cursor = Annotated[str | None, Query(max_length=200)]


class StrictRequest(Request):
    """A request whose body has the same parser as the socket's frames."""

    async def json(self) -> Any:
        """Parse the body; NaN, lone surrogates, bad UTF-8 and UTF-16 are refused."""
        try:
            return codec.parse(await self.body())
        except Malformed as error:
            raise json.JSONDecodeError(error.detail, "", 0) from None


ANSWERS: dict[str, Any] = {}
"""Name → response model of routes; app.openapi() describes each once."""


class StrictRoute(APIRoute):
    """A route that passes a StrictRequest to its function.

    Its `response_model` is for the OpenAPI document alone: our functions encode their answers
    themselves, and FastAPI would make a validator of it, twice for each route: half of the time
    that a worker's first request took.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        response_model: Any = None,
        **options: Any,
    ) -> None:
        """Take the arguments of APIRoute."""
        if isinstance(response_model, type):
            ANSWERS[response_model.__name__] = response_model
            schema = {"$ref": f"#/components/schemas/{response_model.__name__}"}
            status = options.get("status_code") or 200
            described: dict[str, Any] = {
                "description": "Done",
                "content": {"application/json": {"schema": schema}},
            }
            others = dict(options.get("responses") or {})
            same = others.pop(status, {})  # in another form
            described["content"] |= same.get("content", {})
            options["responses"] = {status: described, **others}
        super().__init__(path, endpoint, response_model=None, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strictly


async def context(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
) -> Context:
    """Check the token and return the caller's context."""
    parts = parts_of(request)
    if credentials is None:
        raise TokenMissing
    try:
        claims = await parts.tokens.authenticate(credentials.credentials)
    except KeysUnavailable:
        anonymous.unproven(request.scope)
        raise
    anonymous.identified(request.scope, claims.employee_id)
    commands: KeyedRate[int] = request.app.state.commands_rate
    if wait_s := commands.acquire(claims.employee_id):
        raise TooFast(wait_s)
    parts.services.admit("read" if request.method in SAFE else "write")
    origin = Origin("rest", request_id_of(request.scope))
    return Context(await parts.identities.identify(claims), parts.services, origin=origin)


Asking = Annotated[Context, Depends(context)]


def charge(request: Request, asking: Context, work: int) -> None:
    """Count a request that was admitted as often as what it asks for is worth."""
    if work > 1:
        commands: KeyedRate[int] = request.app.state.commands_rate
        commands.charge(asking.user_id, work - 1)


class EncodedResponse(Response):
    """A wire type, encoded as the socket encodes it, when it is sent."""

    media_type = "application/json"

    def __init__(self, value: Any, status: int) -> None:
        super().__init__(None, status)
        self._value = value

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.body = await codec.encode_stepwise(self._value)
        self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def answer(value: Any, status: int = 200) -> Response:
    """Return a response that carries this."""
    return EncodedResponse(value, status)
