"""Sign-in of the page with an OpenID Connect provider. The page alone uses these routes.

browser ─▶ here ─▶ gateway.auth.oidc. Where a person looks at the answer, a refusal is a page
(sign_in_page.py). Without GATEWAY_OIDC_ISSUER, all but the list of methods answer 404.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

import structlog
from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from gateway.auth import identify
from gateway.auth.oidc import Attempt, BrowserSession, SignIn
from gateway.auth.oidc.attempts import VALID_S
from gateway.auth.queries import standing
from gateway.errors import (
    GatewayError,
    NotFound,
    OriginRefused,
    SignInNeeded,
    SignInNotBegun,
    TooManyAnonymous,
)
from gateway.limits import KeyedRate
from gateway.protocol.frame import frame
from gateway.rest import anonymous, sign_in_page
from gateway.rest.depends import StrictRoute, answer
from gateway.rest.worker import GatewayParts, parts_of

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1", route_class=StrictRoute, include_in_schema=False)

ATTEMPT, SESSION = "crm-gateway-sign-in", "crm-gateway-session"
EXCHANGES_PER_S, EXCHANGES_BURST = 5.0, 200
"""Of one address: each asks the provider, which may take 5 s, and a worker asks ten at a time."""
PARAMETERS = ("state", "code", "iss", "error")


@frame
class ProviderMethod:
    """Sign-in with the identity provider."""

    url: str
    """Where the browser begins."""
    session: bool
    """This browser has signed in: POST /v1/sign-in/token gives a token."""


@frame
class SignInMethods:
    """How people sign in on the page."""

    provider: ProviderMethod | None


@frame
class PageToken:
    """A token for the page."""

    token: str
    expires_at: datetime
    employee_id: int


@frame
class SignedOut:
    """The browser session has ended."""

    url: str | None
    """Where the identity provider ends its own session."""


@router.get("/sign-in/methods")
async def list_methods(request: Request) -> Response:
    """How people sign in on the page, besides a token."""
    sign_in = parts_of(request).sign_in
    if sign_in is None:
        return answer(SignInMethods(provider=None))
    url, session = f"{sign_in.public_url}/v1/sign-in", _session(request, sign_in)
    return answer(SignInMethods(provider=ProviderMethod(url=url, session=session is not None)))


@router.get("/sign-in")
async def begin(request: Request) -> Response:
    """Lead a browser to the provider."""
    sign_in = _sign_in(request)

    async def lead() -> Response:
        begun = await sign_in.begin(request.query_params.get("return", ""))
        response = _redirect(begun.url)
        _set(response, sign_in, ATTEMPT, begun.cookie, same_site="lax", max_age=VALID_S)
        return response

    return await _shown(sign_in, lead)


@router.get("/sign-in/callback")
async def finish(request: Request) -> Response:
    """Take the provider's answer, and lead the browser back to the page with a browser session."""
    parts, sign_in = parts_of(request), _sign_in(request)

    async def lead() -> Response:
        given = _once(request)
        attempt = sign_in.attempt(_cookie(request, sign_in, ATTEMPT), given.get("state", ""))
        try:
            _charge(request)
            return await _admit(parts, sign_in, attempt, given)
        except GatewayError as error:
            refused = sign_in_page.refusal(sign_in, error, route=attempt.route)
            _drop(refused, sign_in, ATTEMPT)
            return refused

    return await _shown(sign_in, lead)


def _charge(request: Request) -> None:
    """Count a callback that asks the provider; TooManyAnonymous after too many of its address."""
    rate: KeyedRate[str] = request.app.state.exchanges_rate
    site = request.scope["state"].get("site")  # None: of a trusted proxy that names no client
    if site is not None and (wait_s := rate.acquire(site)):
        raise TooManyAnonymous(wait_s)


async def _admit(
    parts: GatewayParts, sign_in: SignIn, attempt: Attempt, given: dict[str, str]
) -> Response:
    session = await sign_in.finish(attempt, given)
    parts.services.admit("read")
    async with parts.services.connection() as conn:
        identity = await identify(conn, session.claims)
    log.info("sign_in.done", employee_id=identity.user_id)
    fragment = f"#{attempt.route}" if attempt.route else ""
    response = _redirect(f"{sign_in.public_url}/{fragment}")
    _drop(response, sign_in, ATTEMPT)
    _set(response, sign_in, SESSION, sign_in.sealed(session), same_site="strict")
    return response


@router.post("/sign-in/token")
async def issue_token(request: Request) -> Response:
    """Give the page of a browser that has signed in a token; the next one too."""
    parts, sign_in = parts_of(request), _sign_in(request)
    session = _own_session(request, sign_in)
    parts.services.admit("read")
    async with parts.services.connection() as conn:
        identity = await identify(conn, session.claims)
    anonymous.identified(request.scope, identity.user_id)
    token = sign_in.token(session)
    expires_at = parts.tokens.verify(token).expires_at
    return answer(PageToken(token=token, expires_at=expires_at, employee_id=identity.user_id))


@router.post("/sign-out")
async def end(request: Request) -> Response:
    """End the browser session, with the connections of all its windows."""
    parts, sign_in = parts_of(request), _sign_in(request)
    session = _own_session(request, sign_in)
    async with parts.services.connection() as conn:
        await standing.revoke(conn, session.id, session.ends_at)
    response = answer(SignedOut(url=await sign_in.end_url()))
    _drop(response, sign_in, SESSION)
    return response


def _sign_in(request: Request) -> SignIn:
    sign_in = parts_of(request).sign_in
    if sign_in is None:
        raise NotFound
    return sign_in


def _own_session(request: Request, sign_in: SignIn) -> BrowserSession:
    """Return the browser session; OriginRefused unless our own page asks.

    Pages of other hosts of the same site have their requests sent with our cookies, too.
    """
    if request.headers.get("origin") != sign_in.origin:
        raise OriginRefused
    session = _session(request, sign_in)
    if session is None:
        raise SignInNeeded
    return session


def _session(request: Request, sign_in: SignIn) -> BrowserSession | None:
    return sign_in.session(_cookie(request, sign_in, SESSION))


def _once(request: Request) -> dict[str, str]:
    """Return the parameters of the provider's answer; SignInNotBegun when one comes twice."""
    found: dict[str, str] = {}
    for name in PARAMETERS:
        values = request.query_params.getlist(name)
        if len(values) > 1:
            raise SignInNotBegun
        if values:
            found[name] = values[0]
    return found


async def _shown(sign_in: SignIn, lead: Callable[[], Awaitable[Response]]) -> Response:
    """Answer a browser's navigation: refusals are pages for people."""
    try:
        return await lead()
    except GatewayError as error:
        return sign_in_page.refusal(sign_in, error)


def _redirect(url: str) -> Response:
    return RedirectResponse(url, 303)


def _name(sign_in: SignIn, name: str) -> str:
    """Return the name of a cookie: __Host- keeps other hosts of our domain from setting it."""
    return f"__Host-{name}" if sign_in.secure else name


def _cookie(request: Request, sign_in: SignIn, name: str) -> str:
    """Return the value of a cookie; empty without one, and when there are two.

    Starlette strips NEL and NO-BREAK SPACE, too: a name that begins with one is no __Host- name to
    a browser, so another host of our domain may set it.
    """
    parts = ";".join(request.headers.getlist("cookie")).split(";")
    pairs = (part.strip(" \t").partition("=") for part in parts)
    found = [value for given, _, value in pairs if given == _name(sign_in, name)]
    return found[0] if len(found) == 1 else ""


def _set(
    response: Response,
    sign_in: SignIn,
    name: str,
    value: str,
    *,
    same_site: Literal["lax", "strict"],
    max_age: int | None = None,
) -> None:
    """Set a cookie that no script can read. Without max_age it ends with the browser."""
    response.set_cookie(
        _name(sign_in, name),
        value,
        max_age=max_age,
        secure=sign_in.secure,
        httponly=True,
        samesite=same_site,
    )


def _drop(response: Response, sign_in: SignIn, name: str) -> None:
    response.delete_cookie(_name(sign_in, name), secure=sign_in.secure, httponly=True)
