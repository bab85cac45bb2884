"""A fake login of a CRM: signs tokens with keys of its own and publishes them as a key set.

    async with FakeLogin() as login:            # login.keys_url
        token = login.token(7)                  # signed with its newest key
        login.rotate("ES256")                   # from now on with another one
        login.answer = login.redirect_to("http://127.0.0.1/")

It counts what it was asked, and can misbehave: see `Behaviour`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def new_key(algorithm: str, *, bits: int = 2_048) -> Any:
    """Return a private key of this algorithm."""
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(public_exponent=65_537, key_size=bits)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
    raise AssertionError(algorithm)


def public_jwk(algorithm: str, key: Any, **members: Any) -> dict[str, Any]:
    """Return the public half of a private key as a JSON Web Key."""
    found: dict[str, Any] = json.loads(
        jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key())
    )
    found.pop("key_ops", None)
    return {**found, "alg": algorithm, "use": "sig", **members}


@dataclass
class SigningKey:
    """A key of the login, with the name under which it is published."""

    algorithm: str
    key: Any
    kid: str


@dataclass
class FakeLogin:
    """A login with a key set behind a URL."""

    algorithm: str = "RS256"
    signing: list[SigningKey] = field(default_factory=list)
    asked: int = 0
    answer: Behaviour | None = None
    """What it does instead of publishing its keys."""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self.rotate(self.algorithm)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def keys_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    def rotate(self, algorithm: str | None = None, *, keep: int = 1) -> None:
        """Sign with a new key from now on, and publish at most `keep` former ones."""
        algorithm = algorithm or self.algorithm
        self.signing = [*self.signing[len(self.signing) - keep :]] if keep else []
        self.signing.append(SigningKey(algorithm, new_key(algorithm), uuid.uuid4().hex))

    def token(self, subject: Any, **changes: Any) -> str:
        """Return a token as this login issues it; None as a claim leaves it out."""
        newest = self.signing[-1]
        now = int(time.time())
        claims = {
            "sub": str(subject), "iss": "crm-gateway", "aud": "crm-gateway", "iat": now,
            "exp": now + 600, "jti": uuid.uuid4().hex, **changes,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": newest.kid}
        return jwt.encode(claims, newest.key, algorithm=newest.algorithm, headers=headers)

    def key_set(self) -> bytes:
        """Return the key set as it is published."""
        keys = [public_jwk(k.algorithm, k.key, kid=k.kid) for k in self.signing]
        return json.dumps({"keys": keys}).encode()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            if self.answer is not None:
                await self.answer(writer)
            else:
                await respond(writer, 200, self.key_set())
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def respond(
    writer: asyncio.StreamWriter,
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> None:
    """Write one whole answer."""
    lines = [f"HTTP/1.1 {status} Answer", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


def answering(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer with this status and body."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        await respond(writer, status, body, headers)

    return answer


def endless() -> Behaviour:
    """Send a body that never ends, without saying how long it is."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{"keys": [')
        while True:
            writer.write(b'{"kty": "RSA"},' * 1_000)
            await writer.drain()

    return answer


def silent() -> Behaviour:
    """Answer with a head, and with nothing more until the other end gives up."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        await writer.drain()
        while not writer.is_closing():
            await asyncio.sleep(0.05)
            writer.write(b" ")
            await writer.drain()

    return answer


async def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection without an answer."""
    writer.transport.abort()
