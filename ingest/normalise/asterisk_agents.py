"""Asterisk's events of queue members: joining, leaving and pausing, and the login of agents.

asterisk_facts ─▶ AGENTS, and the rows of a snapshot ─▶ member_of. A member is a telephone in one
queue; AMI sends an event for each of its queues.
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
    """Translate joining a queue, maybe already paused: that pause has no other event."""
    paused, reason = _paused(fields)
    return _member("agent.login", reader, fields, reason=reason, paused=paused or None)


def _removed(reader: DialectReader, fields: Fields) -> Fact:
    return _member("agent.logoff", reader, fields)


def _paused(fields: Fields) -> tuple[bool, str | None]:
    """Return whether a member is paused, and the reason."""
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
    """Return the extension that is rung; if that is no telephone, of the device watched."""
    named = (fields.get(name, "") for name in ("Interface", "Location", "StateInterface"))
    return next((found for name in named if (found := reader.extension_of(name))), None)


def _pooled(event_type: EventType) -> Callable[[DialectReader, Fields], Fact | None]:
    """Translate events of AgentLogin(): its agents have a number and not always a telephone."""

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
    """Read one member from the answer to QueueStatus; None if it is no telephone."""
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
    """Read whole seconds since 1970; 0 means never: None."""
    seconds = parse_int(text, 11)
    return from_epoch(seconds) if seconds else None
