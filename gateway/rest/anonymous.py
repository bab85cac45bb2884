"""A rate for requests that show no valid token, signature or link: so many from one address.

uvicorn ─▶ AnonymousLimit ─▶ routes. Those that claim nothing are counted before any work is done
for them; those whose claim turns out false, when they are answered. Their 401 is never replaced:
it says what is wrong with a token.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import TooManyAnonymous
from gateway.files.local import PATH as LOCAL_FILES
from gateway.limits import KeyedRate
from gateway.limits.addresses import client_of, site_of
from gateway.rest.errors import body

HEALTH = frozenset({"/healthz", "/readyz"})
"""Asked by balancers and orchestrators as often as they like; their answers cost next to nothing,
and are nothing that anybody may be refused."""

UNAUTHORIZED = 401
FALSE = frozenset({UNAUTHORIZED, 403, 404})
"""The answers to a claim that is false; others were given before anybody looked at it."""

SIGNATURES = ("webhook-signature", "x-twilio-signature")


def identified(scope: Scope, employee_id: int | None = None) -> None:
    """Note that this request showed a valid token, signature or link: it is not counted.

    The listener keeps its answer for this employee, or else for the address.
    """
    scope["state"]["identified"] = True
    scope["state"]["employee_id"] = employee_id


def unproven(scope: Scope) -> None:
    """Note that nobody can tell now whether this request's token is valid: it is counted."""
    scope["state"]["unproven"] = True


class AnonymousLimit:
    """ASGI middleware that refuses anonymous requests of an address that sends too many."""

    def __init__(self, app: ASGIApp, *, rate: KeyedRate[str], trusted: tuple[str, ...]) -> None:
        """Limit no connection of a `trusted` proxy that names no client."""
        self._app = app
        self._rate = rate
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in HEALTH:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else "unix"
        client = client_of(headers.getlist("x-forwarded-for"), peer, self._trusted)
        state = scope.setdefault("state", {})
        if client is None:
            await self._app(scope, receive, send)
            return
        state["site"] = site = site_of(client)
        if _claims(scope["path"], headers):
            await self._app(scope, receive, _Judge(self._rate, site, scope, send))
        elif wait_s := self._rate.acquire(site):
            await body(TooManyAnonymous(wait_s))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _claims(path: str, headers: Headers) -> bool:
    """Tell whether a request shows something that its route will check."""
    if not path.startswith("/v1/"):
        return False
    return (
        headers.get("authorization", "").lower().startswith("bearer ")
        or path.startswith(LOCAL_FILES)
        or any(name in headers for name in SIGNATURES)
    )


class _Judge:
    """The `send` of a request that claims something: counts it if the claim was false."""

    def __init__(self, rate: KeyedRate[str], site: str, scope: Scope, send: Send) -> None:
        self._rate = rate
        self._site = site
        self._scope = scope
        self._send = send
        self._refused = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            state = self._scope["state"]
            if state.get("unproven") or (status in FALSE and not state.get("identified", False)):
                wait_s = self._rate.acquire(self._site)
                self._refused = bool(wait_s) and status != UNAUTHORIZED
                if self._refused:
                    await body(TooManyAnonymous(wait_s))(self._scope, _nothing, self._send)
        if not self._refused:
            await self._send(message)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
