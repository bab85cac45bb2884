"""What nodes must know of an event to follow it up: typed, so that they need not parse its JSON.

announce() ─▶ Routing ─▶ hub, after_delivery. On the node that publishes, it comes from the event
itself. On other nodes it is read from the event's JSON, once and only where it is used: the
array on the wire (announcement.py) has exactly four elements and no place for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MESSAGE_CHANGES = frozenset({"message.updated", "message.deleted", "message.reacted"})
"""What can happen to a message that was sent before somebody joined."""

REMOVAL_EVENTS = frozenset({"removed", "left"})
"""The `event` of a system message that says who is no longer in the conversation."""

_SYSTEM = b'"kind":"system"'
"""In the JSON of every system message; looking for it is ten times as fast as parsing."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Fields of an event. Each type of event has some of them."""

    conversation_id: int = 0
    change: int = 0
    seq: int = 0
    """The message that changed; 0 when the event is no change of a message."""
    employee_id: int = 0
    """Who has read; who was removed."""
    removed_ids: Collection[int] = ()
    """Employees of whom a system message says that they are no longer in the conversation."""
    joined_history: bool = False
    """New participants see only messages sent after they joined."""


NO_ROUTING = Routing()


def removed_employees(kind: str, attrs: Mapping[str, Any] | None) -> Collection[int]:
    """Return the employees of whom such a message says that they are no longer participants.

    The CRM writes `attrs` as it likes (realtime.send_message): what has another form names nobody.
    """
    attributes = attrs or {}
    event, removed = attributes.get("event"), attributes.get("employee_ids")
    if kind != "system" or not isinstance(event, str) or event not in REMOVAL_EVENTS:
        return ()
    return [one for one in removed if type(one) is int] if isinstance(removed, list) else ()


def of_event(event: Any) -> Routing:
    """Return the routing of an event that is published here."""
    read = _READERS.get(event.type)
    return NO_ROUTING if read is None else read(event)


def of_payload(event_type: str, payload: bytes) -> Routing:
    """Return the routing of an event that another node published, from its JSON."""
    read = _READERS.get(event_type)
    if read is None or (event_type == "message.created" and _SYSTEM not in payload):
        return NO_ROUTING
    return read(orjson.loads(payload))


def _field(event: Any, name: str) -> Any:
    """Return a field of an event: of the typed one, or of its parsed JSON."""
    return event[name] if isinstance(event, dict) else getattr(event, name)


def _created(event: Any) -> Routing:
    message = _field(event, "message")
    if _field(message, "kind") != "system":
        return NO_ROUTING
    return Routing(removed_ids=removed_employees("system", _field(message, "attrs")))


def _message(event: Any) -> Routing:
    return Routing(seq=_field(_field(event, "message"), "seq"))


def _reacted(event: Any) -> Routing:
    return Routing(seq=_field(event, "seq"))


def _read(event: Any) -> Routing:
    return Routing(
        conversation_id=_field(event, "conversation_id"), employee_id=_field(event, "employee_id")
    )


def _conversation(event: Any) -> Routing:
    return Routing(conversation_id=_field(event, "conversation_id"), change=_field(event, "change"))


def _mine(event: Any) -> Routing:
    return Routing(conversation_id=_field(event, "conversation_id"))


def _updated(event: Any) -> Routing:
    return Routing(joined_history=_field(event, "history") == "joined")


def _participant(event: Any) -> Routing:
    employee = _field(_field(event, "participant"), "employee")
    return Routing(
        conversation_id=_field(event, "conversation_id"),
        employee_id=_field(employee, "id") if _field(event, "left") else 0,
    )


_READERS: dict[str, Callable[[Any], Routing]] = {
    "message.created": _created,
    "message.updated": _message,
    "message.deleted": _message,
    "message.reacted": _reacted,
    "receipt.read": _read,
    "conversation.created": _conversation,
    "conversation.mine_changed": _mine,
    "conversation.updated": _updated,
    "participant.changed": _participant,
}
