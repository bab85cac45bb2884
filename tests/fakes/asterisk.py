"""A fake Asterisk manager interface: checks the login, answers actions, plays recordings.

    async with FakeAsterisk() as pbx:          # pbx.port
        connection = await pbx.next_connection()  # signed in, and a snapshot requested
        await connection.play(tape.until("AgentConnect"))
        connection.disconnect()

It answers as the recorded Asterisk does; what is played are the recording's own bytes.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.framing.ami_messages import AmiMessage, AmiParser, encode
from tests.fakes.pbx import FakePbx

RECORDINGS = Path(__file__).parent.parent / "recordings"
BANNER = b"Asterisk Call Manager/13.0.0\r\n"
ANSWERS = frozenset(
    ("CoreShowChannel", "CoreShowChannelsComplete", "QueueEntry", "QueueMember", "QueueParams",
     "QueueStatusComplete", "Status", "StatusComplete", "QueueSummary", "QueueSummaryComplete")
)  # fmt: skip
USER, SECRET = "gateway", "a manager's secret"


def settings(port: int) -> dict[str, Any]:
    """Return the GATEWAY_PBXS entry of a fake Asterisk on this port."""
    return {"kind": "ami", "host": "127.0.0.1", "port": port, "user": USER, "secret": SECRET}


class Tape:
    """One recorded connection: its events in order, and the answer to its snapshot request."""

    def __init__(self, name: str, *, connection: int = 0) -> None:
        (path,) = RECORDINGS.glob(f"{name}*.jsonl.gz")
        items = list(_connections(path))[connection]
        self._events = iter([item for item in items if item["event"] not in ANSWERS])
        self.channels = _first_answer(items, "CoreShowChannel")
        self.entries = _first_answer(items, "QueueEntry")

    def until(self, event: str) -> bytes:
        """Return the bytes up to the next event of this name, and that event."""
        found = b""
        for item in self._events:
            found += _bytes(item)
            if item["event"] == event:
                return found
        raise AssertionError(f"no more {event} on this tape")

    def rest(self) -> bytes:
        """Return everything that was not played yet."""
        return b"".join(map(_bytes, self._events))


def _connections(path: Path) -> Iterator[list[dict[str, Any]]]:
    items: list[dict[str, Any]] = []
    with gzip.open(path, "rb") as lines:
        for connection in lines:
            item = json.loads(connection)
            if item["kind"] == "banner" and items:
                yield items
                items = []
            if item["kind"] == "event":
                items.append(item)
    yield items


def _first_answer(items: list[dict[str, Any]], event: str) -> list[dict[str, str]]:
    found = [AmiParser().feed(_bytes(item))[0] for item in items if item["event"] == event]
    first = found[0].get("ActionID") if found else ""
    return [message.first() for message in found if message.get("ActionID") == first]


def _bytes(item: dict[str, Any]) -> bytes:
    raw: str = item["raw"]
    return raw.encode("utf-8", "surrogateescape")


@dataclass
class AsteriskConnection:
    """One connection of a gateway."""

    pbx: FakeAsterisk
    writer: asyncio.StreamWriter
    challenge: str
    actions: list[AmiMessage] = field(default_factory=list)

    async def play(self, data: bytes) -> None:
        """Send; waits while the other side does not read."""
        self.writer.write(data)
        await self.writer.drain()

    def disconnect(self) -> None:
        self.writer.transport.abort()

    def answer(self, request: AmiMessage) -> bytes:
        """Return the whole answer to one action."""
        self.actions.append(request)
        if request.get("Action") == self.pbx.silent_at:
            return b""
        if request.get("Action") == self.pbx.floods_at:
            self.pbx.flood(self)
            return b""
        match request.get("Action"):
            case "Challenge":
                return self._message(request, Response="Success", Challenge=self.challenge)
            case "Login" if self._is_signed_in(request):
                return self._message(request, Response="Success", Message="Authentication accepted")
            case "Login":
                return self._message(request, Response="Error", Message="Authentication failed")
            case "Ping":
                return (
                    self._message(request, Response="Success", Ping="Pong") * self.pbx.answers_pings
                )
            case "CoreShowChannels":
                return self._list(request, "CoreShowChannel", self.pbx.live_channels())
            case "QueueStatus":
                return self._list(request, "QueueEntry", self.pbx.entries)
            case "Filter" if self.pbx.may_filter:
                return self._message(request, Response="Success", Message="Filter added")
            case _:
                return self._message(request, Response="Error", Message="Permission denied")

    def _is_signed_in(self, request: AmiMessage) -> bool:
        if request.get("Username") != USER:
            return False
        if request.get("AuthType") == "MD5":
            text = self.challenge + self.pbx.secret
            return request.get("Key") == hashlib.md5(text.encode()).hexdigest()
        return request.get("Secret") == self.pbx.secret

    def _list(self, request: AmiMessage, event: str, rows: list[dict[str, str]] | None) -> bytes:
        if rows is None:
            return self._message(request, Response="Error", Message="Permission denied")
        complete = "CoreShowChannelsComplete" if "Channel" in event else "QueueStatusComplete"
        parts = [self._message(request, Response="Success", EventList="start")]
        parts += [self._message(request, **{**row, "Event": event}) for row in rows]
        return b"".join([*parts, self._message(request, Event=complete, EventList="Complete")])

    def _message(self, request: AmiMessage, **fields: str) -> bytes:
        kind = "Event" if "Event" in fields else "Response"
        head = [(kind, fields.pop(kind))]
        if request.get("ActionID"):
            head.append(("ActionID", request.get("ActionID")))
        return encode(head + [pair for pair in fields.items() if pair[0] != "ActionID"])


class FakeAsterisk(FakePbx[AsteriskConnection]):
    """A fake Asterisk, whose answers may be changed at any time."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, secret: str = SECRET, banner: bytes = BANNER
    ) -> None:
        super().__init__(tls=tls)
        self.secret = secret
        self.greeting = banner
        self.channels: list[dict[str, str]] | None = []
        """What CoreShowChannels answers; None: permission denied."""
        self.entries: list[dict[str, str]] | None = []
        """The callers in queues."""
        self.answers_pings = True
        self.may_filter = True
        self.floods_at: str | None = None
        self.silent_at: str | None = None
        """An action that is never answered: only events come, without end."""

    def live_channels(self) -> list[dict[str, str]] | None:
        """Return what CoreShowChannels answers."""
        return self.channels

    def make_connection(self, writer: asyncio.StreamWriter) -> AsteriskConnection:
        return AsteriskConnection(self, writer, challenge=str(len(self.connections) + 100_000))

    async def requests(self, reader: asyncio.StreamReader) -> AsyncIterator[AmiMessage]:
        parser = AmiParser()
        while data := await reader.read(65_536):
            for request in parser.feed(data):
                yield request

    def is_last(self, request: AmiMessage) -> bool:
        return request.get("Action") == "QueueStatus"
