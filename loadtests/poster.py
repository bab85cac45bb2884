"""A PBX that posts signed arrays of events over one persistent connection.

scenarios, tests.faults ─▶ Poster ─▶ POST /v1/telephony/events.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
import uuid
from dataclasses import dataclass, field

import orjson

from ingest import sign

ANSWER_S = 60.0


def make_secret() -> str:
    """Return a secret that signs webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


@dataclass(slots=True)
class Poster:
    """One connection; dialled again after it was lost."""

    port: int
    source: str
    secret: str
    answer_s: float = ANSWER_S
    _way: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None, init=False)

    async def post(self, body: bytes) -> tuple[int, dict[str, object]]:
        """Return status and answer; OSError or TimeoutError when there is none."""
        try:
            async with asyncio.timeout(self.answer_s):
                return await self._post(body)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.close()
            raise error if isinstance(error, OSError) else ConnectionError(repr(error)) from error

    def close(self) -> None:
        if self._way is not None:
            self._way[1].transport.abort()
            self._way = None

    async def _post(self, body: bytes) -> tuple[int, dict[str, object]]:
        if self._way is None:
            self._way = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._way
        writer.write(self._head(body) + body)
        if not (first := await reader.readline()):
            raise EOFError("hung up")
        status = int(first.split(b" ")[1])
        length = 0
        while (line := await reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, orjson.loads(await reader.readexactly(length))

    def _head(self, body: bytes) -> bytes:
        message_id, now = uuid.uuid4().hex, int(time.time())
        signature = sign(body, message_id=message_id, timestamp=now, secret=self.secret)
        lines = [
            f"POST /v1/telephony/events?source={self.source} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"webhook-id: {message_id}",
            f"webhook-timestamp: {now}",
            f"webhook-signature: {signature}",
        ]
        return "\r\n".join([*lines, "", ""]).encode()
