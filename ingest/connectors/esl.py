"""FreeSWITCH's event socket, inbound: sign in, say what to hear, listen, ask how things are.

live ─▶ EslLink ─▶ Wire. The password travels as it is: without TLS only through a network that is
trusted. Answers to `api` carry no tag but come in the order of the questions.
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
    Address,
    ConnectionLost,
    LinkTiming,
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
        self, source: str, address: Address, timing: LinkTiming, normaliser: EslNormaliser
    ) -> None:
        self._source = source
        self._address = address
        self._timing = timing
        self._normaliser = normaliser
        self._socket = PbxSocket(address, timing)
        self._parser = EslParser()
        self._early: list[Stamped] = []
        self._pending: deque[str] = deque()
        """Questions whose answers are still to come."""
        self._unreadable = 0

    async def open(self) -> None:
        """Connect, sign in, and ask for the events we use."""
        await self._socket.open()
        greeting = await self._wait_for("auth/request", "text/rude-rejection")
        if greeting.kind != "auth/request":
            raise SignInRefused("its access list does not let us in")
        user, secret = self._address.user, self._address.secret
        word = f"userauth {user}:{secret}" if user else f"auth {secret}"
        subscribe = command(f"event json {' '.join(self._normaliser.event_names)}")
        for line, what in ((command(word), "login"), (subscribe, "event")):
            await self._socket.write(line)
            answer = await self._wait_for("command/reply")
            if not answer.reply.startswith("+OK"):
                raise SignInRefused(f"{what}: {answer.reply}")

    async def request_snapshot(self) -> None:
        """Ask for all channels."""
        await self._send(CHANNELS)

    async def receive(self) -> list[Received]:
        """Return what came: events in their order, a snapshot where it was told."""
        messages, self._early = self._early, []
        if not messages:
            messages = self._parse(await self._socket.read_or_ping(lambda: self._send(PING)))
        heard: list[Received] = []
        events: list[CallEvent] = []
        for message, at in messages:
            match message.kind:
                case "text/event-json":
                    events += self._events(message, at)
                case "api/response" | "command/reply" if self._pending:
                    # What may not be asked is refused by a reply, in the place of the answer.
                    if self._pending.popleft() == CHANNELS:
                        heard += [events, self._snapshot(message, at)]
                        events = []
                case _:
                    pass
        return [*heard, events] if events else heard

    async def close(self) -> None:
        await self._socket.close()

    def _events(self, message: EslMessage, at: datetime) -> list[CallEvent]:
        """Translate an event; the 1st, 2nd, 4th, 8th that cannot be read is told in the log."""
        found = _decode(message.body)
        if isinstance(found, dict):
            return self._normaliser.events(_fields(found), at)
        self._unreadable += 1
        if self._unreadable.bit_count() == 1:
            log.warning("pbx=%s sent an event that cannot be read: %d so far",
                        self._source, self._unreadable)  # fmt: skip
        return []

    def _snapshot(self, answer: EslMessage, at: datetime) -> PbxSnapshot:
        """Read which channels there are; whoever may not know takes none for ended."""
        rows = _rows(answer.body)
        if rows is None:
            log.warning("pbx=%s did not show its channels: %s (see esl-allowed-api)",
                        self._source, answer.reply or answer.body[:100])  # fmt: skip
            return PbxSnapshot(taken_at=at)
        return self._normaliser.snapshot(rows, at)

    async def _send(self, text: str) -> None:
        self._pending.append(text)
        await self._socket.write(command(text))

    async def _wait_for(self, *kinds: str) -> EslMessage:
        """Wait for a message of one of these kinds; keep what comes in between."""
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
            raise ConnectionLost(f"no {kinds[0]}") from None

    def _parse(self, data: bytes) -> list[Stamped]:
        try:
            return [(message, self._socket.stamp()) for message in self._parser.feed(data)]
        except NotEsl as error:
            raise ConnectionLost(f"it talks no ESL: {error}") from error


def _decode(body: bytes) -> Any:
    """Decode a body; FreeSWITCH passes on whatever a telephone put into a name."""
    text = body.decode("utf-8", "replace")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _decode_loosely(text)


def _decode_loosely(text: str) -> Any:
    """Decode what is not quite JSON, half a character of UTF-16 as U+FFFD; None if it is none."""
    try:
        found = json.dumps(json.loads(text, strict=False), ensure_ascii=False)
        return orjson.loads(found.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        return None


def _fields(found: Any) -> dict[str, str]:
    """Return the texts; a list of them as FreeSWITCH writes it where it has no JSON."""
    if not isinstance(found, dict):
        return {}
    fields = {name: value for name, value in found.items() if isinstance(value, str)}
    lists = ((name, value) for name, value in found.items() if isinstance(value, list))
    for name, values in lists:
        fields[name] = "ARRAY::" + "|:".join(text for text in values if isinstance(text, str))
    return fields


def _rows(body: bytes) -> list[dict[str, str]] | None:
    """Return the channels; None unless all are there: who is not listed is taken for gone."""
    found = _decode(body)
    if not isinstance(found, dict):
        return None
    rows = found.get("rows", [])
    if not isinstance(rows, list) or found.get("row_count") != len(rows):
        return None
    channels = [_fields(row) for row in rows]
    return channels if all(channel.get("uuid") for channel in channels) else None
