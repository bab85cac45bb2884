"""Original messages of a PBX: kept for some days if so configured, deleted before their events."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.db import Pool
from ingest import (
    AsteriskDialect,
    AsteriskNormaliser,
    CallEvent,
    FreeswitchNormaliser,
    Pipeline,
    parse_events,
    read_recording,
    twilio_events,
)
from ingest.framing.ami_messages import AmiMessage
from ingest.model.native_payload import MAX_BYTES, message_json
from ingest.upkeep import partitions
from tests.support.calls import ANSWERED
from tests.support.ingest_tools import SETTINGS, RecordedAnnouncements, count, pause_event

KEEPING = replace(SETTINGS, payload_days=7)
TELEPHONY = Path(__file__).parents[2] / "docs" / "telephony.md"
NOW = datetime.now(UTC)


@pytest.fixture
def database(new_database: str) -> str:
    """Give a new database: without the partitions that others have made."""
    return new_database


def posted(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "type": "leg.ringing", "occurred_at": NOW.isoformat(),
        "call_key": "c1", "leg_key": f"l{number}", "extension": "101", **more,
    }  # fmt: skip


async def day_of_receipt(pool: Pool) -> datetime:
    """Return when the messages were stored: on another day than NOW if midnight has passed."""
    found = await pool.fetchval("SELECT max(received_at) FROM realtime.call_event_payloads")
    assert isinstance(found, datetime)
    return found.astimezone(UTC)


def parsed(*items: dict[str, Any], keep_native: bool = True) -> list[CallEvent]:
    return parse_events(list(items), source="pbx", keep_native=keep_native).events


def ami(*fields: tuple[str, str]) -> list[CallEvent]:
    """Translate one message about a new channel."""
    about = (
        ("Event", "Newchannel"), ("Channel", "PJSIP/101-00000001"), ("Uniqueid", "1.1"),
        ("Linkedid", "1.1"), ("Timestamp", str(NOW.timestamp())),
    )  # fmt: skip
    normaliser = AsteriskNormaliser("pbx", AsteriskDialect(keep_native=True))
    return normaliser.events(AmiMessage((*about, *fields)), NOW)


async def payloads(pool: Pool) -> list[Any]:
    rows = await pool.fetch(
        "SELECT payload FROM realtime.call_event_payloads ORDER BY payload::text"
    )
    return [row["payload"] for row in rows]


async def test_a_message_is_stored_once_however_often_it_comes(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """With its event and not with a repeat, in the same batch or a later one."""
    one, two = posted(1), posted(2)
    async with Pipeline(pool, announce=announced, settings=KEEPING) as pipeline:
        await pipeline.submit(parsed(one, two, one))
        again = await pipeline.submit(parsed(two, one))

    assert again.duplicates == 2
    assert await payloads(pool) == [one, two]


async def test_messages_are_kept_only_if_configured(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """By default no event carries its message, and there is no partition for any."""
    events = parse_events([posted()], source="pbx").events
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(events)

    assert SETTINGS.payload_days == 0
    assert {event.native for event in [*events, *await read_recording(ANSWERED, source="x")]} == {
        None
    }
    assert await payloads(pool) == []
    assert await pool.fetch("SELECT 1 FROM pg_class WHERE relname ~ 'payloads_[0-9]'") == []


async def test_messages_go_before_their_events(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Whole days are dropped; turned off, all of them are gone the day after."""
    async with Pipeline(pool, announce=announced, settings=KEEPING) as pipeline:
        await pipeline.submit(parsed(posted()))
    now, months = await day_of_receipt(pool), {"months_ahead": 0, "keep_months": 13}

    async with pool.acquire() as conn:
        early = await partitions.maintain(
            conn, now=now + timedelta(days=7), payload_days=7, **months
        )
        left = await payloads(pool)
        late = await partitions.maintain(
            conn, now=now + timedelta(days=8), payload_days=7, **months
        )
        gone = await payloads(pool)
        await partitions.maintain(conn, now=now + timedelta(days=20), payload_days=0, **months)

    assert (len(left), gone) == (1, [])
    assert f"call_event_payloads_{now:%Y_%m_%d}" not in early.dropped
    assert late.dropped[0] == f"call_event_payloads_{now:%Y_%m_%d}"
    assert await count(pool, "call_events") == 1
    assert await pool.fetch("SELECT 1 FROM pg_class WHERE relname ~ 'payloads_[0-9]'") == []


async def test_a_message_without_a_day_is_kept_as_long_as_others(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Housekeeping that never ran refuses nothing; when it runs, the message moves to its day."""
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(parsed(posted()))
    odd_ones = await count(pool, "call_event_payloads_default")
    now, months = await day_of_receipt(pool), {"months_ahead": 0, "keep_months": 13}

    async with pool.acquire() as conn:
        await partitions.maintain(conn, now=now, payload_days=7, **months)
        moved = await count(pool, f"call_event_payloads_{now:%Y_%m_%d}")
        await pool.execute(
            "INSERT INTO realtime.call_event_payloads VALUES"
            " ('pbx', gen_random_uuid(), '{}', now() - interval '9 days')"
        )
        await partitions.maintain(conn, now=now, payload_days=7, **months)

    assert (odd_ones, moved) == (1, 1)
    assert await count(pool, "call_event_payloads_default") == 0


async def test_a_hostile_message_costs_no_event(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """NUL and lone surrogates are replaced, what is too long is left out, secrets are not kept."""
    hostile = [
        *ami(("CallerIDName", "a\0b\ud800"), ("Note\0", "\\u0000")),
        *ami(("AccountCode", "x" * MAX_BYTES)),
        *ami(("Secret", "hunter2"), ("ChanVariable", "PIN_CODE=4711"), ("ChanVariable", "a=1"),
             ("ChanVariable", "b=2")),
    ]  # fmt: skip
    clean = [replace(event, attrs={}) for event in hostile]

    async with Pipeline(pool, announce=announced, settings=KEEPING) as pipeline:
        receipt = await pipeline.submit(clean)

    assert (receipt.accepted, receipt.rejected) == (3, ())
    kept = await payloads(pool)
    assert [m["CallerIDName"] for m in kept if "CallerIDName" in m] == ["a\ufffdb\ufffd"]
    assert len(kept) == 2
    assert [m["Note\ufffd"] for m in kept if "CallerIDName" in m] == ["\\u0000"]
    assert [m["ChanVariable"] for m in kept if "ChanVariable" in m] == [["a=1", "b=2"]]
    assert b"hunter2" not in orjson.dumps(kept)
    assert b"4711" not in orjson.dumps(kept)


async def test_a_message_that_cannot_be_stored_is_dropped_and_not_its_event(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Whatever slipped through: the event and its whole batch are stored without it."""
    broken = replace(pause_event(), native=rb'{"a": "\u0000"}')
    async with Pipeline(pool, announce=announced, settings=KEEPING) as pipeline:
        receipt = await pipeline.submit([*parsed(posted(1)), broken, *parsed(posted(2))])

    assert (receipt.accepted, receipt.rejected) == (3, ())
    assert await payloads(pool) == [posted(1), posted(2)]


async def test_a_callback_of_several_events_is_kept_once(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Twilio's form, and FreeSWITCH's event, belong to the first of the events they make."""
    form = {
        "CallSid": "CA1", "ParentCallSid": "CA2", "Direction": "outbound-dial",
        "From": "+380671234567", "To": "client:101", "CallStatus": "in-progress",
    }  # fmt: skip
    fields = {
        "Event-Name": "CHANNEL_BRIDGE", "Unique-ID": "u1", "Core-UUID": "core",
        "Event-Sequence": "7", "Bridge-A-Unique-ID": "u1", "Bridge-B-Unique-ID": "u2",
        "Hangup-Cause": "NONE",
        "variable_sip_auth_password": "hunter2",
    }  # fmt: skip
    events = twilio_events(form, source="cloud", received_at=NOW, keep_native=True)
    events += FreeswitchNormaliser("pbx", keep_native=True).events(fields, NOW)

    async with Pipeline(pool, announce=announced, settings=KEEPING) as pipeline:
        await pipeline.submit(events)

    del fields["variable_sip_auth_password"]
    assert len(events) > 4
    assert sorted(await payloads(pool), key=len) == [form, fields]


async def test_the_page_has_a_query_for_the_messages_of_a_call(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """The statement of docs/telephony.md finds a call's messages, in their order."""
    (statement,) = re.findall(
        r"```sql\n(SELECT[^`]*call_event_payloads[^`]*)```", TELEPHONY.read_text(encoding="utf-8")
    )
    later = posted(2, occurred_at=(NOW + timedelta(seconds=1)).isoformat())
    async with Pipeline(pool, announce=announced, settings=KEEPING) as pipeline:
        await pipeline.submit(parsed(later, posted(1)))
        await pipeline.submit(parsed({**posted(3), "call_key": "another"}))
    call_id = await pool.fetchval("SELECT call_id FROM realtime.call_aliases WHERE key = 'c1'")

    found = await pool.fetch(re.sub(r"'[0-9a-f-]{36}'", "$1", statement), call_id)

    assert [row["payload"] for row in found] == [posted(1), later]


async def test_what_waits_is_bounded_with_its_messages(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Bytes of messages count, and a cached call does not hold them."""
    (kept,), (bare,) = parsed(posted()), parsed(posted(), keep_native=False)
    assert kept == bare
    assert kept.native is not None
    assert kept.size == bare.size + len(kept.native)
    assert "native=" not in repr(kept)

    async with Pipeline(pool, announce=announced, settings=KEEPING) as pipeline:
        await pipeline.submit([kept])
        held = list(pipeline._store._cache._calls.values())

    assert [event.native for one in held for event in one.log.events] == [None]


@pytest.mark.parametrize("value", [2**70, float("nan"), {"a": [[["x"]]]}, "\ud800"], ids=repr)
def test_whatever_was_posted_can_be_written_down(value: object) -> None:
    """Or is left out; it never raises."""
    found = message_json({"value": value}.items())

    assert found is None or orjson.loads(found)
