"""A connection to FreeSWITCH's event socket (ESL), inbound: sign in, subscribe, receive, snapshot.

live ─▶ EslLink ─▶ PbxSocket. The password is sent in clear: without TLS, use trusted networks only.
Answers to `api` carry no tag, but arrive in the order of the commands.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson

from ingest.connectors.link import (
    ConnectionLost,
    LinkTiming,
    PbxAddress,
    PbxSocket,
    Received,
    SignInRefused,
)
from ingest.framing.esl_messages import EslMessage, EslParser, NotEsl, command
from ingest.model.events import CallEvent
from ingest.model.snapshot import PbxSnapshot

log = logging.getLogger(__name__)

CHANNELS = "api show channels as json"
PING = "api uptime"

Stamped = tuple[EslMessage, datetime]


class EslNormaliser(Protocol):
    """Translates the events of one connection, in their order."""

    @property
    def event_names(self) -> Sequence[str]:
        """The events to subscribe to, as the command `event json` takes them."""

    def events(self, fields: Mapping[str, str], received_at: datetime) -> list[CallEvent]: ...

    def snapshot(self, rows: Sequence[Mapping[str, str]], taken_at: datetime) -> PbxSnapshot:
        """Read the answer to `show channels as json`."""


class EslLink:
    """One connection to one FreeSWITCH."""

    def __init__(
        self, source: str, address: PbxAddress, timing: LinkTiming, normaliser: EslNormaliser
    ) -> None:
        self._source = source
        self._address = address
        self._timing = timing
        self._normaliser = normaliser
        self._socket = PbxSocket(address, timing)
        self._parser = EslParser()
        self._early: list[Stamped] = []
        self._pending: deque[str] = deque()
        """Commands whose answers are still to come."""
        self._unreadable = 0

    async def open(self) -> None:
        """Connect, sign in, and subscribe to the events that are used."""
        await self._socket.open()
        greeting = await self._wait_for("auth/request", "text/rude-rejection")
        if greeting.kind != "auth/request":
            raise SignInRefused("its access list rejects this address")
        user, secret = self._address.user, self._address.secret
        login = f"userauth {user}:{secret}" if user else f"auth {secret}"
        subscribe = command(f"event json {' '.join(self._normaliser.event_names)}")
        for line, what in ((command(login), "login"), (subscribe, "event")):
            await self._socket.write(line)
            answer = await self._wait_for("command/reply")
            if not answer.reply.startswith("+OK"):
                raise SignInRefused(f"{what}: {answer.reply}")

    async def request_snapshot(self) -> None:
        """Request all channels."""
        await self._send(CHANNELS)

    async def receive(self) -> list[Received]:
        """Return what arrived: events in their order, the snapshot where its answer was."""
        messages, self._early = self._early, []
        if not messages:
            messages = self._parse(await self._socket.read_or_ping(lambda: self._send(PING)))
        received: list[Received] = []
        events: list[CallEvent] = []
        for message, at in messages:
            match message.kind:
                case "text/event-json":
                    events += self._events(message, at)
                case "api/response" | "command/reply" if self._pending:
                    # A command that is not allowed gets a command/reply in place of the answer.
                    if self._pending.popleft() == CHANNELS:
                        received += [events, self._snapshot(message, at)]
                        events = []
                case _:
                    pass
        return [*received, events] if events else received

    async def close(self) -> None:
        await self._socket.close()

    def _events(self, message: EslMessage, at: datetime) -> list[CallEvent]:
        """Translate an event; the 1st, 2nd, 4th, 8th, … unreadable one is logged."""
        decoded = _decode(message.body)
        if isinstance(decoded, dict):
            return self._normaliser.events(_fields(decoded), at)
        self._unreadable += 1
        if self._unreadable.bit_count() == 1:
            log.warning("pbx sent an unreadable event: pbx=%s count=%d",
                        self._source, self._unreadable)  # fmt: skip
        return []

    def _snapshot(self, answer: EslMessage, at: datetime) -> PbxSnapshot:
        """Read the list of channels; if it was refused, no channel counts as ended."""
        rows = _rows(answer.body)
        if rows is None:
            log.warning("pbx did not list its channels (see esl-allowed-api): pbx=%s reply=%s",
                        self._source, answer.reply or answer.body[:100])  # fmt: skip
            return PbxSnapshot(taken_at=at)
        return self._normaliser.snapshot(rows, at)

    async def _send(self, text: str) -> None:
        self._pending.append(text)
        await self._socket.write(command(text))

    async def _wait_for(self, *kinds: str) -> EslMessage:
        """Wait for a message of one of these kinds; others are kept for receive()."""
        within_s = self._timing.connect_s
        try:
            async with asyncio.timeout(within_s):
                while True:
                    for index, (message, _) in enumerate(self._early):
                        if message.kind in kinds:
                            del self._early[index]
                            return message
                    self._socket.check_early(len(self._early))
                    self._early += self._parse(await self._socket.read(within_s))
        except TimeoutError:
            raise ConnectionLost(f"no answer of type {kinds[0]}") from None

    def _parse(self, data: bytes) -> list[Stamped]:
        try:
            return [(message, self._socket.stamp()) for message in self._parser.feed(data)]
        except NotEsl as error:
            raise ConnectionLost(f"not ESL: {error}") from error


def _decode(body: bytes) -> Any:
    """Decode a body. FreeSWITCH passes on any bytes that a telephone puts into a name."""
    text = body.decode("utf-8", "replace")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _decode_loosely(text)


def _decode_loosely(text: str) -> Any:
    """Decode almost-JSON, a lone surrogate as U+FFFD; None if that fails."""
    try:
        found = json.dumps(json.loads(text, strict=False), ensure_ascii=False)
        return orjson.loads(found.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        return None


def _fields(decoded: Any) -> dict[str, str]:
    """Return the texts; a list as FreeSWITCH writes it outside of JSON (`ARRAY::one|:two`)."""
    if not isinstance(decoded, dict):
        return {}
    fields = {name: value for name, value in decoded.items() if isinstance(value, str)}
    lists = ((name, value) for name, value in decoded.items() if isinstance(value, list))
    for name, values in lists:
        fields[name] = "ARRAY::" + "|:".join(text for text in values if isinstance(text, str))
    return fields


def _rows(body: bytes) -> list[dict[str, str]] | None:
    """Return the channels; None unless all are there, as a channel not listed counts as gone."""
    decoded = _decode(body)
    if not isinstance(decoded, dict):
        return None
    rows = decoded.get("rows", [])
    if not isinstance(rows, list) or decoded.get("row_count") != len(rows):
        return None
    channels = [_fields(row) for row in rows]
    return channels if all(channel.get("uuid") for channel in channels) else None
