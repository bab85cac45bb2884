"""A browser that signs in with a provider: its cookies, and where it is led.

browser = SigningBrowser(node.url)
landed = await browser.sign_in(provider, "/conversations/7")     # the answer of the callback
token = (await browser.token()).json()["token"]
"""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from pydantic import SecretStr

from tests.fakes.provider import CLIENT_ID, FakeProvider
from tests.support.desk import NO_TLS, SUBJECTS, Desk
from tests.support.text_crm import TEXT_CRM

PUBLIC = "http://gateway.test"
"""GATEWAY_PUBLIC_URL of nodes in these tests; a browser finds its node there."""


def settings_for(provider: FakeProvider, **changes: Any) -> dict[str, Any]:
    """Return the settings of a node whose people sign in with this provider."""
    secret = SecretStr(provider.secret) if provider.secret is not None else None
    return {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": secret,
        "oidc_private": True,
        "public_url": PUBLIC,
        **changes,
    }


def subject_of(employee_id: int) -> str:
    """Return the CRM's own id of an employee."""
    return SUBJECTS[employee_id] if TEXT_CRM else str(employee_id)


async def dismiss(desk: Desk, employee_id: int) -> None:
    """Dismiss an employee of the CRM that the tests run on."""
    if TEXT_CRM:
        statement = 'UPDATE "User" SET "dismissedAt" = now() WHERE "id" = $1'
        await desk.sql(statement, subject_of(employee_id))
    else:
        statement = "UPDATE demo_crm.staff SET dismissed_on = current_date WHERE id = $1"
        await desk.sql(statement, employee_id)


class SigningBrowser:
    """Keeps cookies as a browser does, for one host."""

    def __init__(self, node_url: str, *, public: str = PUBLIC) -> None:
        self.node_url = node_url
        self.public = public
        self.cookies: dict[str, str] = {}
        self.set: dict[str, str] = {}
        """The whole header of each cookie that was set by the last answer."""

    async def get(self, url: str) -> httpx2.Response:
        """Navigate to an URL of the gateway."""
        return await self._ask("GET", url, {})

    async def post(self, path: str, *, origin: str | None = "") -> httpx2.Response:
        """Have the page ask; None: without an Origin."""
        origin = self._origin() if origin == "" else origin
        return await self._ask("POST", self.public + path, {"origin": origin} if origin else {})

    async def begin(self, route: str = "") -> str:
        """Begin, and return where the browser is led: to the provider."""
        query = f"?{urlencode({'return': route})}" if route else ""
        answer = await self.get(f"{self.public}/v1/sign-in{query}")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def sign_in(self, provider: FakeProvider, route: str = "") -> httpx2.Response:
        """Sign in, and return the answer of the callback."""
        return await self.get(await provider.authorize(await self.begin(route)))

    async def token(self) -> httpx2.Response:
        return await self.post("/v1/sign-in/token")

    async def session(self) -> bool:
        """Ask whether this browser has signed in."""
        answer = (await self.get(f"{self.public}/v1/sign-in/methods")).json()
        found: bool = answer["provider"]["session"]
        return found

    def _origin(self) -> str:
        parts = urlsplit(self.public)
        return f"{parts.scheme}://{parts.netloc}"

    async def _ask(self, method: str, url: str, headers: dict[str, str]) -> httpx2.Response:
        assert url.startswith(f"{self.public}/"), url
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {**headers, **({"cookie": kept} if kept else {})}
        async with httpx2.AsyncClient(verify=NO_TLS, timeout=60) as client:
            answer = await client.request(
                method,
                self.node_url + url.removeprefix(self.public),
                headers=[(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
            )
        self.set.clear()
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.set[name] = line
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        return answer


def code_of(answer: httpx2.Response) -> str:
    """Return the stable code on a refusal's page."""
    assert answer.headers["content-type"].startswith("text/html"), answer.text
    return answer.text.partition("this code: ")[2].partition("<")[0]
