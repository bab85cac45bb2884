"""A client for HTTP(S) whose connections lead only where they may."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import httpcore2

from gateway.outbound.addresses import is_public

MAX_URL = 2_048


class OutboundError(Exception):
    """A request that brought no answer; the text says why, without the URL's path and query."""


class UrlInvalid(OutboundError):
    """The URL is none to which this client sends requests."""


class AddressRefused(OutboundError):
    """The name leads to an address that is not public. Trying again makes no difference."""


class Unreachable(OutboundError):
    """No connection, or no answer in time."""


class AnswerTooLarge(OutboundError):
    """The answer has more bytes than were asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whatever its status; redirects are answers too."""

    status: int
    headers: Mapping[str, str]
    """Names in small letters; of several of one name the last."""
    body: bytes


class Outbound:
    """Sends requests. `private` allows plain HTTP and addresses of our own networks, too.

    Certificates are checked by what the system trusts, unless ssl_context says otherwise.

    Each name is resolved by this class, all its addresses are judged, and the connection goes to
    one of those: a name that changes between the look and the connection gains nothing.
    """

    def __init__(
        self, *, private: bool, timeout_s: float = 5.0, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._private = private
        self._timeout_s = timeout_s
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context or ssl.create_default_context(),
            max_connections=10,
            max_keepalive_connections=0,
            network_backend=_Judging(private=private),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._pool.aclose()

    async def get(
        self, url: str, *, at_most: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to a GET; OutboundError without one, or with more than at_most."""
        return await self._send("GET", url, None, at_most=at_most, headers=headers or {})

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        at_most: int,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to a POST of a form; OutboundError as of get()."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        body = urlencode(form).encode()
        return await self._send(
            "POST", url, body, at_most=at_most, headers={**(headers or {}), **kind}
        )

    async def _send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        *,
        at_most: int,
        headers: Mapping[str, str],
    ) -> Answer:
        check_url(url, private=self._private)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)
        given = {"accept-encoding": "identity", "user-agent": "crm-gateway", **headers}
        given |= {"host": urlsplit(url).netloc}
        if body is not None:
            given |= {"content-length": str(len(body))}
        try:
            # Each read alone may be in time, and all together still take for ever.
            async with (
                asyncio.timeout(self._timeout_s),
                self._pool.stream(
                    method,
                    url,
                    headers=[(name.encode(), value.encode()) for name, value in given.items()],
                    content=body,
                    extensions={"timeout": timeouts},
                ) as response,
            ):
                parts, size = [], 0
                async for part in response.aiter_stream():
                    size += len(part)
                    if size > at_most:
                        raise AnswerTooLarge(f"the answer has more than {at_most} bytes")
                    parts.append(part)
        except TimeoutError:
            raise Unreachable(f"no answer within {self._timeout_s:g} s") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as why:
            raise Unreachable(str(why) or type(why).__name__) from None
        return Answer(
            response.status,
            {name.decode("latin-1").lower(): value.decode("latin-1")
             for name, value in response.headers},
            b"".join(parts),
        )  # fmt: skip


def check_url(url: str, *, private: bool) -> None:
    """Raise UrlInvalid unless this is an URL that Outbound may ask."""
    if len(url) > MAX_URL or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise UrlInvalid(f"a URL has at most {MAX_URL} printable ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlInvalid("this is not a URL") from None
    schemes = ("https", "http") if private else ("https",)
    if parts.scheme not in schemes:
        raise UrlInvalid(f"a URL begins with {' or '.join(f'{name}://' for name in schemes)}")
    if not parts.hostname or port == 0:
        raise UrlInvalid("a URL names a host, and no port 0")
    if "@" in parts.netloc or "\\" in url:
        raise UrlInvalid("a URL has neither a user nor a backslash")
    if parts.fragment:
        raise UrlInvalid("a URL has no fragment")


class _Judging(httpcore2.AsyncNetworkBackend):
    """Connects to a name's addresses, unless one of them is not allowed."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._connect = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  its base class has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await resolve(host, port)
        if not self._private and not all(map(is_public, addresses)):
            raise AddressRefused("the name leads to an address that is not public")
        failed: Exception = httpcore2.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._connect.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name or of an address, in the order to try them."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise httpcore2.ConnectError("the name cannot be resolved") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
