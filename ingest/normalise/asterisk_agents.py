"""What Asterisk says of queues' members: who is one, who is paused, who signed in.

normalise.asterisk_facts ─▶ AGENTS, and what a snapshot lists ─▶ member_of. A member is a telephone
in one queue; AMI has an event for each queue of each.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ingest.framing.digits import parse_int
from ingest.model.clock import from_epoch
from ingest.model.events import EventType
from ingest.model.snapshot import QueueMember
from ingest.normalise.asterisk_dialect import DialectReader, Fact, Fields, shorten


def _pause(reader: DialectReader, fields: Fields) -> Fact:
    paused, reason = _paused(fields)
    event_type: EventType = "agent.paused" if paused else "agent.unpaused"
    return _member(event_type, reader, fields, reason=reason)


def _added(reader: DialectReader, fields: Fields) -> Fact:
    """Join a queue, maybe paused from the beginning; nothing else tells of that pause."""
    paused, reason = _paused(fields)
    return _member("agent.login", reader, fields, reason=reason, paused=paused or None)


def _removed(reader: DialectReader, fields: Fields) -> Fact:
    return _member("agent.logoff", reader, fields)


def _paused(fields: Fields) -> tuple[bool, str | None]:
    """Read whether a member is paused, and why."""
    paused = fields.get("Paused") == "1"
    return paused, shorten(fields.get("PausedReason")) if paused else None


def _member(
    event_type: EventType, reader: DialectReader, fields: Fields, **attrs: str | bool | None
) -> Fact:
    interface = shorten(fields.get("Interface"))
    return Fact(
        type=event_type,
        queue=fields.get("Queue", ""),
        extension=_extension(reader, fields),
        attrs={"interface": interface, **attrs},
    )


def _extension(reader: DialectReader, fields: Fields) -> str | None:
    """Read what is rung; where that is no telephone, the device that the queue watches."""
    named = (fields.get(name, "") for name in ("Interface", "Location", "StateInterface"))
    return next((found for name in named if (found := reader.extension_of(name))), None)


def _pooled(event_type: EventType) -> Callable[[DialectReader, Fields], Fact | None]:
    """Tell of an agent of AgentLogin(), who has a number and not always a telephone."""

    def translate(reader: DialectReader, fields: Fields) -> Fact | None:
        number = reader.short(fields.get("Agent", ""))
        return Fact(type=event_type, extension=number, attrs={}) if number else None

    return translate


AGENTS: dict[str, Callable[[DialectReader, Fields], Fact | None]] = {
    "QueueMemberPause": _pause,
    "QueueMemberAdded": _added,
    "QueueMemberRemoved": _removed,
    "AgentLogin": _pooled("agent.login"),
    "AgentLogoff": _pooled("agent.logoff"),
}


def member_of(reader: DialectReader, fields: Fields) -> QueueMember | None:
    """Read one member of QueueStatus' answer; None where it is no telephone."""
    extension, queue = _extension(reader, fields), fields.get("Queue", "")
    if not (extension and queue):
        return None
    paused, reason = _paused(fields)
    return QueueMember(
        extension=extension,
        queue=queue,
        paused=paused,
        reason=reason,
        paused_at=_epoch(fields.get("LastPause", "")) if paused else None,
        login_at=_epoch(fields.get("LoginTime", "")),
    )


def _epoch(text: str) -> datetime | None:
    """Read whole seconds since 1970; 0 is never."""
    seconds = parse_int(text, 11)
    return from_epoch(seconds) if seconds else None
