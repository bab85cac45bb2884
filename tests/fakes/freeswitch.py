"""A fake FreeSWITCH event socket: checks the password, answers `api`, and sends events of calls.

async with FakeFreeswitch() as pbx:        # pbx.port
    connection = await pbx.next_connection()  # signed in, and channels requested
    await connection.play(incoming(...))
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.fakes.pbx import FakePbx

PASSWORD = "ClueCon's heir"


class FakeCore:
    """One run of a FreeSWITCH core: numbers its events as clients of mod_event_socket see them."""

    def __init__(
        self, uuid: str = "720b5579-0000-4000-8000-000000000001", *, ago_s: float = 0
    ) -> None:
        self._uuid = uuid
        self._sequence = itertools.count(2_000)
        self._ago_s = ago_s
        """How far its clock is behind: the times of its events."""

    def later(self, seconds: float) -> None:
        """Let time pass until its next event."""
        self._ago_s -= seconds

    @property
    def now_us(self) -> int:
        return time.time_ns() // 1_000 - int(self._ago_s * 1_000_000)

    def source(self, kind: str, target: str) -> str:
        """Return the channel variable of a transfer that happens now."""
        return f"{self.now_us // 1_000_000}:9e0c3c2a-profile:{kind}:{target}"

    def event(self, name: str, more: Mapping[str, Any] | None = None, /, **fields: str) -> bytes:
        """Return one event in its wire format; the names of `more` keep their underscores."""
        message = {
            "Event-Name": name,
            "Core-UUID": self._uuid,
            "Event-Date-Timestamp": str(self.now_us),
            "Event-Sequence": str(next(self._sequence)),
        }
        message |= {key.replace("_", "-"): value for key, value in fields.items()} | dict(
            more or {}
        )
        return event(orjson.dumps(message))

    def channel(self, name: str, uuid: str, **fields: str) -> bytes:
        return self.event(name, Unique_ID=uuid, **fields)

    def incoming(self, uuid: str, number: str) -> bytes:
        """A customer's call comes in from the trunk."""
        return self.channel(
            "CHANNEL_CREATE", uuid, Call_Direction="inbound", Channel_Call_UUID=uuid,
            Channel_Name=f"sofia/external/{number}@198.51.100.7", Caller_Caller_ID_Number=number,
            Caller_Caller_ID_Name="Ivan", Caller_Destination_Number="0441110001",
        )  # fmt: skip

    def ring(self, uuid: str, extension: str, *, caller: str) -> bytes:
        """It rings one of our telephones."""
        about = {"Call_Direction": "outbound", "Channel_Call_UUID": uuid}
        return self.channel(
            "CHANNEL_CREATE", uuid, Channel_Name=f"sofia/internal/{extension}@10.0.0.9",
            Caller_Destination_Number=extension, Other_Type="originator",
            Other_Leg_Unique_ID=caller, **about,
        ) + self.channel("CHANNEL_PROGRESS", uuid, **about)  # fmt: skip

    def ring_from_queue(self, uuid: str, extension: str, *, caller: str) -> bytes:
        """mod_callcenter rings one of our telephones: no leg is its originator."""
        about = {"Unique-ID": uuid, "Call-Direction": "outbound", "Channel-Call-UUID": uuid}
        about["variable_cc_member_session_uuid"] = caller
        named = {"Channel-Name": f"sofia/internal/{extension}@10.0.0.9",
                 "Caller-Destination-Number": extension}  # fmt: skip
        return self.event("CHANNEL_CREATE", about | named) + self.event("CHANNEL_PROGRESS", about)

    def answer(self, uuid: str, *, caller: str) -> bytes:
        """It answers, and talks with the caller."""
        return self.channel("CHANNEL_ANSWER", uuid) + self.bridge("CHANNEL_BRIDGE", caller, uuid)

    def bridge(self, name: str, one: str, other: str, **variables: Any) -> bytes:
        more = {f"variable_{key}": value for key, value in variables.items()}
        more |= {"Bridge-A-Unique-ID": one, "Bridge-B-Unique-ID": other, "Unique-ID": one}
        return self.event(name, more)

    def hangup(
        self, uuid: str, cause: str = "NORMAL_CLEARING", q850: int = 16, **variables: str
    ) -> bytes:
        more = {f"variable_{key}": value for key, value in variables.items()}
        more["variable_hangup_cause_q850"] = str(q850)
        return self.event("CHANNEL_HANGUP_COMPLETE", more, Unique_ID=uuid, Hangup_Cause=cause)

    def queue(self, action: str, caller: str, queue: str = "sales", **fields: str) -> bytes:
        """Return an event of mod_callcenter."""
        return self.event(
            "CUSTOM", Event_Subclass="callcenter::info", CC_Action=action, CC_Queue=queue,
            CC_Member_Session_UUID=caller, **fields,
        )  # fmt: skip


def event(body: bytes) -> bytes:
    """Return an event with this body."""
    return b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(body), body)


@dataclass
class FreeswitchConnection:
    """One connection of a gateway."""

    pbx: FakeFreeswitch
    writer: asyncio.StreamWriter
    commands: list[str] = field(default_factory=list)

    async def play(self, data: bytes, *, piece: int = 0) -> None:
        """Send; in pieces, each of them a write of its own, when piece is given."""
        for start in range(0, len(data), piece or len(data)):
            self.writer.write(data[start : start + (piece or len(data))])
            await self.writer.drain()

    def disconnect(self) -> None:
        self.writer.transport.abort()

    def answer(self, command: str) -> bytes:
        self.commands.append(command)
        if self.pbx.floods_at and command.startswith(self.pbx.floods_at):
            self.pbx.flood(self)
            return b""
        match command.split():
            case ["auth", *words]:
                good = " ".join(words) == self.pbx.password
                return _reply("+OK accepted" if good else "-ERR invalid")
            case ["event", "json", *_]:
                return _reply("+OK event listener enabled json")
            case ["api", "show", "channels", "as", "json"]:
                return self.pbx.show_channels()
            case ["api", "uptime"]:
                return _api(b"4711\n") * self.pbx.answers
            case _:
                return _reply("-ERR command not found")


def _reply(text: str) -> bytes:
    return f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode()


def _api(body: bytes) -> bytes:
    return b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(body), body)


class FakeFreeswitch(FakePbx[FreeswitchConnection]):
    """A fake FreeSWITCH, whose answers may be changed at any time."""

    greeting = b"Content-Type: auth/request\n\n"

    def __init__(self, *, password: str = PASSWORD) -> None:
        super().__init__()
        self.password = password
        self.channels: list[dict[str, Any]] | bytes | None = []
        """The answer to `show channels`; bytes: as they are; None: permission denied."""
        self.answers = True
        self.floods_at = ""
        """The beginning of a command that is never answered: only events come, without end."""

    def show_channels(self) -> bytes:
        """Answer as mod_event_socket does: a refusal is a reply to the command, and no result."""
        rows = self.channels
        if rows is None:
            return _reply("-ERR permission denied")
        if isinstance(rows, bytes):
            return _api(rows)
        return _api(orjson.dumps({"row_count": len(rows)} | ({"rows": rows} if rows else {})))

    def make_connection(self, writer: asyncio.StreamWriter) -> FreeswitchConnection:
        return FreeswitchConnection(self, writer)

    async def requests(self, reader: asyncio.StreamReader) -> AsyncIterator[str]:
        while True:
            try:
                yield (await reader.readuntil(b"\n\n")).decode().strip()
            except asyncio.IncompleteReadError:
                return

    def is_last(self, request: str) -> bool:
        return "channels" in request
