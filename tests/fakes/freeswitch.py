"""A FreeSWITCH's event socket: checks the password, answers `api`, and tells of calls.

async with FakeFreeswitch() as pbx:        # pbx.port
    line = await pbx.line()                # the gateway has signed in and asked for channels
    await line.play(incoming(...))
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson

PASSWORD = "ClueCon's heir"
LONGEST_WAIT_S = 10.0


class Core:
    """One run of a FreeSWITCH: numbers its events, as mod_event_socket's clients see them."""

    def __init__(self, uuid: str = "720b5579-0000-4000-8000-000000000001") -> None:
        self._uuid = uuid
        self._sequence = itertools.count(2_000)

    def event(self, name: str, **fields: str) -> bytes:
        """Write one event, as it travels."""
        told = {
            "Event-Name": name,
            "Core-UUID": self._uuid,
            "Event-Date-Timestamp": str(time.time_ns() // 1_000),
            "Event-Sequence": str(next(self._sequence)),
        } | {key.replace("_", "-"): value for key, value in fields.items()}
        body = orjson.dumps(told)
        return b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(body), body)

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
        """It rings one of ours."""
        about = {"Call_Direction": "outbound", "Channel_Call_UUID": uuid}
        return self.channel(
            "CHANNEL_CREATE", uuid, Channel_Name=f"sofia/internal/{extension}@10.0.0.9",
            Caller_Destination_Number=extension, Other_Type="originator",
            Other_Leg_Unique_ID=caller, **about,
        ) + self.channel("CHANNEL_PROGRESS", uuid, **about)  # fmt: skip

    def bridge(self, name: str, one: str, other: str) -> bytes:
        return self.channel(name, one, Bridge_A_Unique_ID=one, Bridge_B_Unique_ID=other)

    def hangup(self, uuid: str, cause: str = "NORMAL_CLEARING", q850: int = 16) -> bytes:
        more = {"variable_hangup_cause_q850": str(q850)}
        told = self.channel("CHANNEL_HANGUP_COMPLETE", uuid, Hangup_Cause=cause)
        head, _, body = told.partition(b"\n\n")
        body = orjson.dumps(orjson.loads(body) | more)
        kind = head.partition(b"\n")[2]
        return b"Content-Length: %d\n%b\n\n%b" % (len(body), kind, body)

    def queue(self, action: str, caller: str, queue: str = "sales", **fields: str) -> bytes:
        """Tell what mod_callcenter tells."""
        return self.event(
            "CUSTOM", Event_Subclass="callcenter::info", CC_Action=action, CC_Queue=queue,
            CC_Member_Session_UUID=caller, **fields,
        )  # fmt: skip


@dataclass
class Line:
    """One connection of a gateway."""

    pbx: FakeFreeswitch
    writer: asyncio.StreamWriter
    commands: list[str] = field(default_factory=list)

    async def play(self, data: bytes, *, piece: int = 0) -> None:
        """Send; in pieces, each of them a write of its own, when piece is given."""
        for start in range(0, len(data), piece or len(data)):
            self.writer.write(data[start : start + (piece or len(data))])
            await self.writer.drain()

    def hang_up(self) -> None:
        self.writer.transport.abort()

    def answer(self, command: str) -> bytes:
        self.commands.append(command)
        match command.split():
            case ["auth", *words]:
                good = " ".join(words) == self.pbx.password
                return _reply("+OK accepted" if good else "-ERR invalid")
            case ["event", "json", *_]:
                return _reply("+OK event listener enabled json")
            case ["api", "show", "channels", "as", "json"]:
                rows = self.pbx.channels
                found = {"row_count": len(rows)} | ({"rows": rows} if rows else {})
                return _api(orjson.dumps(found))
            case ["api", "uptime"]:
                return _api(b"4711\n") * self.pbx.answers
            case _:
                return _reply("-ERR command not found")


def _reply(text: str) -> bytes:
    return f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode()


def _api(body: bytes) -> bytes:
    return b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(body), body)


class FakeFreeswitch:
    """A server on a port of its own; what it says of itself may be changed at any time."""

    def __init__(self, *, password: str = PASSWORD) -> None:
        self.password = password
        self.channels: list[dict[str, Any]] = []
        """What `show channels` answers."""
        self.answers = True
        self.lines: list[Line] = []
        self._ready: asyncio.Queue[Line] = asyncio.Queue()
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for line in self.lines:
            line.hang_up()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def line(self) -> Line:
        """Wait for the next connection that has signed in and asked for channels."""
        async with asyncio.timeout(LONGEST_WAIT_S):
            return await self._ready.get()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        line = Line(self, writer)
        self.lines.append(line)
        try:
            writer.write(b"Content-Type: auth/request\n\n")
            async for command in _commands(reader):
                writer.write(line.answer(command))
                if "channels" in command:
                    self._ready.put_nowait(line)
        except OSError:
            pass
        finally:
            writer.transport.abort()


async def _commands(reader: asyncio.StreamReader) -> Any:
    while True:
        try:
            yield (await reader.readuntil(b"\n\n")).decode().strip()
        except asyncio.IncompleteReadError:
            return
