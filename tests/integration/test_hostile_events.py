"""Events that cannot be stored, among those that can: named, saved, and harmless to others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from gateway.db import Pool
from ingest import CallEvent, Pipeline
from ingest.framing.ami_messages import AmiMessage
from ingest.normalise.asterisk import AsteriskNormaliser
from tests.support.ingest_tools import SETTINGS, RecordedAnnouncements, count, pause_event

LONG = "".join(f"{number:x}" for number in range(4_000))
"""Too long for an index, and not to be compressed."""

HOSTILE = {
    "NUL": {"Uniqueid": "1.\0"},
    "half a character": {"Uniqueid": "1.\ud800"},
    "a key that no index takes": {"Uniqueid": LONG},
    "a queue that no index takes": {"Uniqueid": "1.5", "Queue": LONG},
}


def translated(name: str, **fields: str) -> CallEvent:
    """Translate one message of an Asterisk."""
    message = AmiMessage((("Event", name), *fields.items()))
    (event,) = AsteriskNormaliser("pbx").events(message, datetime.now(UTC))
    return event


async def test_one_event_that_cannot_be_stored_never_affects_its_batch(pool: Pool) -> None:
    """Each is in ingest_rejects, all others are stored, and their calls are folded."""
    poison = [
        translated("QueueCallerJoin", **{"Queue": "q"} | fields) for fields in HOSTILE.values()
    ]
    poison.append(replace(pause_event(), type="leg.created", leg_key="x", attrs={"name": "\0"}))
    good = [
        translated(
            "Newchannel", Uniqueid=f"2.{number}", Linkedid=f"2.{number}", CallerIDNum="9" * 5_000
        )
        for number in range(20)
    ]
    ends = [translated("Hangup", Uniqueid=f"2.{number}", Cause="9" * 5_000) for number in range(20)]
    mixed = [*good[:7], *poison, *good[7:], *ends]

    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        receipt = await pipeline.submit(mixed)

    assert (receipt.accepted, len(receipt.rejected)) == (40, len(poison))
    assert [rejected.index for rejected in receipt.rejected] == list(range(7, 7 + len(poison)))
    assert await count(pool, "ingest_rejects") == len(poison)
    assert await count(pool, "call_sessions WHERE status = 'ended'") == 20
