"""Twilio's conference callbacks: who is in the room, who is held, who only listens.

normalise.twilio ─▶ conference_events. In a conference, caller and agent are two calls of which
neither names the other: being in one room makes them one call. Each conference has an id of its
own, also if the room's name is used again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ingest.model.events import CallEvent, EventType, derive_id
from ingest.normalise.asterisk_dialect import shorten
from ingest.normalise.twilio_fields import InvalidCallback, date, needed_sid, sid

ABOUT_A_PARTICIPANT: dict[str, EventType | None] = {
    "participant-join": "bridge.joined",
    "participant-leave": "bridge.left",
    "participant-modify": None,
    "participant-hold": "leg.music_on",
    "participant-unhold": "leg.music_off",
    "participant-mute": None,
    "participant-unmute": None,
    "participant-speech-start": None,
    "participant-speech-stop": None,
}
"""StatusCallbackEvent → event type; None: nothing for a call. `modify` is about coaching."""
COACHING: dict[str, EventType] = {"true": "bridge.left", "false": "bridge.joined"}
BY_ITSELF = {
    "participant_hung_up": True,
    "participant_updated_via_api": False,
    "moderator_ended_conference": False,
    "conference_ended_via_api": False,
}
"""ReasonParticipantLeft → whether the participant hung up."""
ABOUT_THE_ROOM = ("conference-", "announcement-")


def conference_events(
    fields: Mapping[str, str], source: str, received_at: datetime
) -> list[CallEvent]:
    """Translate one callback; most give no CallEvent. Raises InvalidCallback."""
    room, event = needed_sid(fields, "ConferenceSid"), fields.get("StatusCallbackEvent", "")
    at = date(fields, "Timestamp", received_at)
    if event not in ABOUT_A_PARTICIPANT:
        if not event.startswith(ABOUT_THE_ROOM):
            raise InvalidCallback("StatusCallbackEvent is missing or unknown")
        sid(fields, "CallSid")
        return []
    leg = needed_sid(fields, "CallSid")
    sent = (room, fields.get("SequenceNumber", ""), fields.get("Timestamp", ""), event, leg)
    return [
        CallEvent(
            event_id=derive_id(source, "|".join(("conference", *sent, kind))),
            source=source,
            type=kind,
            occurred_at=at or received_at,
            time_quality="pbx" if at else "received",
            native_type=f"twilio.{event}",
            leg_key=leg,
            attrs=attrs,
        )
        for kind, attrs in _facts(fields, event, room)
    ]


def _facts(
    fields: Mapping[str, str], event: str, room: str
) -> Iterator[tuple[EventType, dict[str, Any]]]:
    """Return the facts about a participant. A coach hears the room and is heard by one of it."""
    kind, present = ABOUT_A_PARTICIPANT[event], {"bridge": room, "room": True}
    if event == "participant-join" and (name := shorten(fields.get("FriendlyName"))):
        present["conference"] = name
    by_itself = BY_ITSELF.get(fields.get("ReasonParticipantLeft", ""))
    if event == "participant-leave" and by_itself is not None:
        present["hung_up"] = by_itself
    coaching = fields.get("Coaching", "").lower()
    if event == "participant-modify":
        kind = COACHING.get(coaching)
    elif event == "participant-join" and coaching == "true":
        kind = "call.linked"
    if kind:
        yield kind, present
    if event == "participant-join" and fields.get("Hold", "").lower() == "true":
        yield "leg.music_on", present
