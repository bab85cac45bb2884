"""Asterisk's answers to CoreShowChannels, QueueStatus and the lists of endpoints, as a PbxSnapshot.

connectors.ami ─▶ AsteriskSnapshot ─▶ connectors.live. The answers list which channels exist, not
how they were created: who dialled whom before the connection stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ingest.framing.ami_messages import AmiMessage
from ingest.framing.digits import parse_int
from ingest.model.events import CallEvent
from ingest.model.snapshot import (
    PbxSnapshot,
    QueueMember,
    WaitingCaller,
    bridge_joined,
    derived_event,
)
from ingest.normalise.asterisk_agents import member_of
from ingest.normalise.asterisk_dialect import AsteriskDialect, DialectReader, Fields, clean
from ingest.normalise.asterisk_facts import MAILBOXES, TRANSLATE, mailbox_of
from ingest.normalise.asterisk_registrations import ACTIONS

CHANNELS, QUEUES = "CoreShowChannels", "QueueStatus"
USED = frozenset(
    (
        "Application", "ApplicationData", "BridgeId", "CallerIDName", "CallerIDNum", "Channel",
        "ChannelStateDesc", "Duration", "Exten", "Linkedid", "Queue", "Uniqueid", "Wait",
    )
)  # fmt: skip
"""The fields of a channel or waiting caller that are kept; those of a recorded one have 160
characters."""
MAX_LISTED = 20_000
"""Channels and waiting callers, at once, of one Asterisk."""
MAX_MEMBERS = 100_000
"""Members of all queues: 2,000 agents in 50 queues each."""
MAX_CHARACTERS = 12 * 1024 * 1024
"""Of all that is kept."""
MAX_MESSAGES = 300_000
"""Of the whole answer, endpoints and what is not used included."""
DIALLED = frozenset(("AppDial", "AppDial2", "AppQueue"))
"""The application of a channel that was rung and does not run the dialplan."""


class AsteriskSnapshot:
    """Collects one answer, whose messages are mixed with live events."""

    def __init__(self, source: str, tag: str, reader: DialectReader | None = None) -> None:
        self._source = source
        self._requests = {f"{tag}-{action}": action for action in (*ACTIONS, CHANNELS, QUEUES)}
        self._reader = reader or DialectReader(AsteriskDialect())
        self._pending = {tag for tag, action in self._requests.items() if action not in ACTIONS}
        """Without those about registrations: they are answered before, or not at all."""
        self._channels: list[Fields] = []
        self._entries: list[Fields] = []
        self._members: list[QueueMember] = []
        self._characters = 0
        self._messages = 0
        self.refused: dict[str, str] = {}
        """Actions that Asterisk refused → why."""

    def actions(self) -> list[tuple[tuple[str, str], ...]]:
        """Return the actions to send."""
        return [(("Action", action), ("ActionID", tag)) for tag, action in self._requests.items()]

    def accept(self, message: AmiMessage) -> bool:
        """Collect a message that belongs to the answer; return False for any other."""
        tag = message.get("ActionID")
        action = self._requests.get(tag)
        if action is None:
            return False
        self._messages += 1
        if action in ACTIONS:
            self._reader.registrations.hear(message)
            return True
        if message.get("Response") == "Error":
            self.refused[action] = message.get("Message", "refused")
            self._pending.discard(tag)
        match message.event:
            case "CoreShowChannel":
                self._channels.append(self._counted(message))
            case "QueueEntry":
                self._entries.append(self._counted(message))
            case "QueueMember":
                if (member := member_of(self._reader, message.first())) is not None:
                    texts = (member.extension, member.queue, member.reason or "")
                    self._characters += sum(map(len, texts))
                    self._members.append(member)
            case "CoreShowChannelsComplete" | "QueueStatusComplete":
                self._pending.discard(tag)
            case _:
                pass
        return True

    def _counted(self, message: AmiMessage) -> Fields:
        kept = {name: value for name, value in message.first().items() if name in USED}
        self._characters += sum(map(len, kept.values()))
        return kept

    @property
    def complete(self) -> bool:
        return not self._pending

    @property
    def too_long(self) -> str | None:
        """What the answer has too much of; None while it is bounded."""
        counted = (
            (len(self._channels) + len(self._entries), MAX_LISTED, "channels and waiting callers"),
            (len(self._members), MAX_MEMBERS, "queue members"),
            (self._characters, MAX_CHARACTERS, "characters"),
            (self._messages, MAX_MESSAGES, "messages"),
        )
        over = (f"more than {most:,} {what}" for count, most, what in counted if count > most)
        return next(over, None)

    def result(self, taken_at: datetime) -> PbxSnapshot:
        """Return the collected state; what was refused is None in it."""
        listed = CHANNELS not in self.refused
        ids = frozenset(fields.get("Uniqueid", "") for fields in self._channels)
        facts = (fact for fields in self._channels for fact in self._facts(fields, taken_at))
        return PbxSnapshot(
            taken_at=taken_at,
            alive=ids - {""} if listed else None,
            facts=tuple(facts),
            waiting=None if QUEUES in self.refused else dict(self._waiting(taken_at)),
            members=None if QUEUES in self.refused else tuple(self._members),
        )

    def _facts(self, fields: Fields, taken_at: datetime) -> Iterator[CallEvent]:
        leg, call = fields.get("Uniqueid"), fields.get("Linkedid")
        if not leg:
            return
        named = {"leg_key": leg, "call_key": call or None}
        # Its context is where the dialplan has got to and no longer its endpoint's.
        created = TRANSLATE["Newchannel"](self._reader, {**fields, "Context": ""})
        assert created is not None
        attrs = {name: value for name, value in created.attrs.items() if value is not None}
        identity = {"extension": created.extension, "attrs": attrs}
        began_at = taken_at - _duration(fields.get("Duration", ""))
        yield derived_event(self._source, "leg.created", began_at, **named, **identity)
        if fields.get("Application") in DIALLED:
            yield derived_event(self._source, "offer.started", began_at, **named, **identity)
        match fields.get("ChannelStateDesc"):
            case "Ringing":
                yield derived_event(self._source, "leg.ringing", taken_at, **named)
            case "Up":
                yield derived_event(self._source, "leg.answered", taken_at, **named)
            case _:
                pass
        application = fields.get("Application", "")
        if application in MAILBOXES:
            attrs = {"mailbox": mailbox_of(fields.get("ApplicationData", ""))}
            yield derived_event(self._source, "voicemail.started", taken_at, **named, attrs=attrs)
        bridge = fields.get("BridgeId")
        if bridge and not application.startswith("Park"):
            name = clean(fields.get("ApplicationData", "").partition(",")[0])
            room = {"room": True, "conference": name} if application == "ConfBridge" else None
            yield bridge_joined(self._source, bridge, taken_at, room=room, **named)

    def _waiting(self, taken_at: datetime) -> Iterator[tuple[WaitingCaller, datetime]]:
        for fields in self._entries:
            leg, queue, wait = (fields.get(name, "") for name in ("Uniqueid", "Queue", "Wait"))
            if leg and queue:
                waited_s = parse_int(wait, 6) or 0
                yield (leg, queue), taken_at - timedelta(seconds=waited_s)


def _duration(text: str) -> timedelta:
    """Read `HH:MM:SS`; hours may have more than two digits."""
    parts = [parse_int(part, 5) for part in text.split(":")]
    match parts:
        case [int(hours), int(minutes), int(seconds)]:
            return timedelta(hours=hours, minutes=minutes, seconds=seconds)
        case _:
            return timedelta()
