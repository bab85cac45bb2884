"""A fake Asterisk manager interface: checks the login, answers actions, plays recordings.

    async with FakeAsterisk() as pbx:          # pbx.port
        line = await pbx.line()                # the gateway has signed in and asked how things are
        await line.play(tape.until("AgentConnect"))
        line.hang_up()

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
        for line in lines:
            item = json.loads(line)
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

    def hang_up(self) -> None:
        self.writer.transport.abort()

    def answer(self, asked: AmiMessage) -> bytes:
        """Return the whole answer to one action."""
        self.actions.append(asked)
        if asked.get("Action") == self.pbx.silent_at:
            return b""
        if asked.get("Action") == self.pbx.chatters_at:
            self.pbx.chatter(self)
            return b""
        match asked.get("Action"):
            case "Challenge":
                return self._say(asked, Response="Success", Challenge=self.challenge)
            case "Login" if self._may_in(asked):
                return self._say(asked, Response="Success", Message="Authentication accepted")
            case "Login":
                return self._say(asked, Response="Error", Message="Authentication failed")
            case "Ping":
                return self._say(asked, Response="Success", Ping="Pong") * self.pbx.answers_pings
            case "CoreShowChannels":
                return self._list(asked, "CoreShowChannel", self.pbx.live_channels())
            case "QueueStatus":
                return self._list(asked, "QueueEntry", self.pbx.entries)
            case "Filter" if self.pbx.may_filter:
                return self._say(asked, Response="Success", Message="Filter added")
            case _:
                return self._say(asked, Response="Error", Message="Permission denied")

    def _may_in(self, asked: AmiMessage) -> bool:
        if asked.get("Username") != USER:
            return False
        if asked.get("AuthType") == "MD5":
            text = self.challenge + self.pbx.secret
            return asked.get("Key") == hashlib.md5(text.encode()).hexdigest()
        return asked.get("Secret") == self.pbx.secret

    def _list(self, asked: AmiMessage, event: str, rows: list[dict[str, str]] | None) -> bytes:
        if rows is None:
            return self._say(asked, Response="Error", Message="Permission denied")
        complete = "CoreShowChannelsComplete" if "Channel" in event else "QueueStatusComplete"
        said = [self._say(asked, Response="Success", EventList="start")]
        said += [self._say(asked, **{**row, "Event": event}) for row in rows]
        return b"".join([*said, self._say(asked, Event=complete, EventList="Complete")])

    def _say(self, asked: AmiMessage, **fields: str) -> bytes:
        kind = "Event" if "Event" in fields else "Response"
        head = [(kind, fields.pop(kind))]
        if asked.get("ActionID"):
            head.append(("ActionID", asked.get("ActionID")))
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
        self.chatters_at: str | None = None
        self.silent_at: str | None = None
        """An action that is never answered: only events come, without end."""

    def live_channels(self) -> list[dict[str, str]] | None:
        """Return what CoreShowChannels answers."""
        return self.channels

    def make_line(self, writer: asyncio.StreamWriter) -> AsteriskConnection:
        return AsteriskConnection(self, writer, challenge=str(len(self.lines) + 100_000))

    async def questions(self, reader: asyncio.StreamReader) -> AsyncIterator[AmiMessage]:
        parser = AmiParser()
        while data := await reader.read(65_536):
            for asked in parser.feed(data):
                yield asked

    def is_last(self, asked: AmiMessage) -> bool:
        return asked.get("Action") == "QueueStatus"
