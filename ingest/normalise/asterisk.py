"""Asterisk's manager events to CallEvents.

connectors.ami, upkeep.replay ─▶ AsteriskNormaliser ─▶ pipeline. No I/O, and no state of calls: each
message is translated by itself. It counts only how often the same text arrived at one instant,
because AMI does not number its messages.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ingest.framing.ami_messages import AmiMessage
from ingest.model.clock import from_epoch, is_plausible
from ingest.model.events import CallEvent, TimeQuality, derive_id
from ingest.model.native_payload import message_json
from ingest.normalise.asterisk_dialect import AsteriskDialect, DialectReader, Fields
from ingest.normalise.asterisk_facts import TRANSLATE
from ingest.normalise.asterisk_filter import EVENT_FILTER
from ingest.normalise.asterisk_snapshot import AsteriskSnapshot

__all__ = ["AsteriskDialect", "AsteriskNormaliser"]

INTERNAL_CHANNELS = (
    "AsyncGoto/", "Surrogate/", "Announcer/", "CBAnn/", "CBRec/", "Recorder/", "Snoop/",
    "Message/", "OutgoingSpoolFailed",
)  # fmt: skip
"""Channels that Asterisk creates for itself: to move another channel, to play, to record, to pass
on a text (it never ends), to report a failed Originate. A moved channel keeps its unique id."""


class AsteriskNormaliser:
    """For one connection: one source, messages in their order."""

    def __init__(self, source: str, dialect: AsteriskDialect | None = None) -> None:
        self.source = source
        self._reader = DialectReader(dialect or AsteriskDialect())
        self._instant: datetime | None = None
        self._seen: dict[str, int] = {}

    event_filter = EVENT_FILTER

    def new_snapshot(self, tag: str) -> AsteriskSnapshot:
        """Begin a snapshot whose actions and answers carry this tag."""
        return AsteriskSnapshot(self.source, tag, self._reader)

    def events(self, message: AmiMessage, received_at: datetime) -> list[CallEvent]:
        """Translate one message. Most AMI events are not about calls and give no CallEvent."""
        translate = TRANSLATE.get(message.event or "")
        if translate is None:
            return []
        fields = message.first()
        if fields.get("Channel", "").startswith(INTERNAL_CHANNELS):
            return []
        fact = translate(self._reader, fields)
        if fact is None or not (fact.leg_key or fact.type.startswith("agent.")):
            return []
        occurred_at, quality = _time(fields, received_at)
        return [
            CallEvent(
                event_id=self._event_id(message, occurred_at),
                source=self.source,
                type=fact.type,
                occurred_at=occurred_at,
                time_quality=quality,
                native_type=message.event,
                call_key=fact.call_key or None,
                leg_key=fact.leg_key or None,
                peer_leg_key=fact.peer_leg_key or None,
                queue=fact.queue or None,
                extension=fact.extension,
                attrs={key: value for key, value in fact.attrs.items() if value is not None},
                native=message_json(message.fields) if self._reader.dialect.keep_native else None,
            )
        ]

    def _event_id(self, message: AmiMessage, occurred_at: datetime) -> UUID:
        """Derive the id from the message's text and time.

        Asterisk sends the same text to all connections, so with `timestampevents=yes` two gateways
        derive the same id. Without it the time is ours: then one connection for each PBX.
        """
        if occurred_at != self._instant:
            self._instant, self._seen = occurred_at, {}
        text = "\n".join([f"{name}:{value}" for name, value in message.fields])
        again = self._seen.get(text, 0)
        self._seen[text] = again + 1
        return derive_id(self.source, f"{occurred_at.isoformat()}|{again}|{text}")


def _time(fields: Fields, received_at: datetime) -> tuple[datetime, TimeQuality]:
    """Return the PBX's time (`Timestamp`, with timestampevents=yes in manager.conf), else ours."""
    try:
        at = from_epoch(float(fields["Timestamp"]))
    except (KeyError, ValueError, OverflowError):
        return received_at, "received"
    return (at, "pbx") if is_plausible(at, received_at) else (received_at, "received")
