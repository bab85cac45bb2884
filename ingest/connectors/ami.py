"""A connection to Asterisk's manager interface (AMI): sign in, filter, receive, take snapshots.

live ─▶ AmiLink ─▶ PbxSocket. The sign-in is an MD5 challenge, so the secret is never sent in clear;
over TLS, the secret itself is sent. Asterisk keeps no backlog for a slow client: after
`writetimeout` (100 ms unless manager.conf sets more) it closes the connection, and the snapshot
after the next one replaces what was missed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Protocol

from ingest.connectors.link import (
    ConnectionLost,
    LinkTiming,
    PbxAddress,
    PbxSocket,
    Received,
    SignInRefused,
)
from ingest.framing.ami_messages import AmiMessage, AmiParser, MessageTooLong, encode
from ingest.model.events import CallEvent
from ingest.model.snapshot import PbxSnapshot

log = logging.getLogger(__name__)

EVENTS = "system,call,agent,dialplan"
"""Event classes requested at login. Those that the user's `read=` does not allow are not sent."""
PING = encode([("Action", "Ping")])

Stamped = tuple[AmiMessage, datetime]


class AmiSnapshot(Protocol):
    """Collects Asterisk's answers to one request for a snapshot."""

    @property
    def refused(self) -> Mapping[str, str]:
        """Actions that Asterisk refused → why."""

    @property
    def complete(self) -> bool: ...

    @property
    def too_long(self) -> str | None:
        """What the answer has too much of; None while it is bounded."""

    def actions(self) -> Sequence[Sequence[tuple[str, str]]]:
        """Return the actions to send."""

    def accept(self, message: AmiMessage) -> bool:
        """Collect a message that belongs to the answer; return False for any other."""

    def result(self, taken_at: datetime) -> PbxSnapshot: ...


class AmiNormaliser(Protocol):
    """Translates the messages of one connection, in their order."""

    @property
    def event_filter(self) -> str:
        """A POSIX expression over an event's text: what Asterisk is to send."""

    def events(self, message: AmiMessage, received_at: datetime) -> list[CallEvent]: ...

    def new_snapshot(self, tag: str) -> AmiSnapshot:
        """Begin a snapshot whose actions and answers carry this tag."""


class AmiLink:
    """One connection to one Asterisk."""

    def __init__(
        self, source: str, address: PbxAddress, timing: LinkTiming, normaliser: AmiNormaliser
    ) -> None:
        self._source = source
        self._address = address
        self._timing = timing
        self._socket = PbxSocket(address, timing)
        self._parser = AmiParser()
        self._normaliser = normaliser
        self._early: list[Stamped] = []
        self._tags = count(1)
        self._snapshot: AmiSnapshot | None = None

    async def open(self) -> None:
        """Connect, sign in, and request only the events that are used."""
        await self._socket.open()
        await self._sign_in()
        wanted = self._normaliser.event_filter
        answer = await self._request(("Action", "Filter"), ("Operation", "Add"), ("Filter", wanted))
        if answer.get("Response") != "Success":
            # The filter needs `write = system`; without it, more is received and ignored.
            log.info("pbx refused the event filter and sends all events: pbx=%s reason=%s",
                     self._source, answer.get("Message"))  # fmt: skip

    async def request_snapshot(self) -> None:
        """Request all channels, waiting callers and queue members."""
        tag = f"snapshot{next(self._tags)}"
        self._snapshot = self._normaliser.new_snapshot(tag)
        await self._socket.write(b"".join(encode(action) for action in self._snapshot.actions()))

    async def receive(self) -> list[Received]:
        """Return what arrived: events in their order, the snapshot where it was complete."""
        messages, self._early = self._early, []
        if not messages:
            messages = self._parse(
                await self._socket.read_or_ping(lambda: self._socket.write(PING))
            )
        received: list[Received] = []
        events: list[CallEvent] = []
        for message, at in messages:
            if self._snapshot is not None and self._snapshot.accept(message):
                if too_much := self._snapshot.too_long:
                    self._snapshot = None
                    raise ConnectionLost(f"the snapshot is too long: {too_much}")
                if self._snapshot.complete:
                    received += [events, await self._finish_snapshot(self._snapshot, at)]
                    events, self._snapshot = [], None
            else:
                events += self._normaliser.events(message, at)
        return [*received, events] if events else received

    async def close(self) -> None:
        await self._socket.close()

    async def _finish_snapshot(self, snapshot: AmiSnapshot, at: datetime) -> Received:
        """Return the collected state; made in another thread: 10,000 channels take 0.5 s."""
        for action, why in snapshot.refused.items():
            log.warning("pbx refused part of a snapshot (see write= in manager.conf): "
                        "pbx=%s action=%s reason=%s", self._source, action, why)  # fmt: skip
        return await asyncio.to_thread(snapshot.result, at)

    async def _sign_in(self) -> None:
        to = self._address
        login = [("Action", "Login"), ("Username", to.user), ("Events", EVENTS)]
        if to.tls is None:
            answer = await self._request(("Action", "Challenge"), ("AuthType", "MD5"))
            challenge = answer.get("Challenge")
            if not challenge:
                raise SignInRefused(f"no challenge: {answer.get('Message')}")
            key = hashlib.md5((challenge + to.secret).encode(), usedforsecurity=False).hexdigest()
            login += [("AuthType", "MD5"), ("Key", key)]
        else:
            login += [("Secret", to.secret)]
        answer = await self._request(*login)
        if answer.get("Response") != "Success":
            raise SignInRefused(f"login of {to.user!r}: {answer.get('Message')}")

    async def _request(self, *fields: tuple[str, str]) -> AmiMessage:
        """Send an action and return its answer; other messages are kept for receive()."""
        tag = f"do{next(self._tags)}"
        await self._socket.write(encode([*fields, ("ActionID", tag)]))
        within_s = self._timing.connect_s
        try:
            async with asyncio.timeout(within_s):
                while True:
                    messages = self._parse(await self._socket.read(within_s))
                    answers = [message for message, _ in messages if message.get("ActionID") == tag]
                    self._early += [pair for pair in messages if pair[0].get("ActionID") != tag]
                    if answers:
                        return answers[0]
                    if self._parser.banner is None:
                        raise ConnectionLost("the greeting is not Asterisk's")
                    self._socket.check_early(len(self._early))
        except TimeoutError:
            raise ConnectionLost(f"no answer to {fields[0][1]}") from None

    def _parse(self, data: bytes) -> list[Stamped]:
        try:
            return [(message, self._socket.stamp()) for message in self._parser.feed(data)]
        except MessageTooLong as error:
            raise ConnectionLost(f"not AMI: {error}") from error
