"""A live FreeSWITCH: its calls arrive, whatever happens to the connection."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.db import Pool
from ingest import EslLink, FreeswitchNormaliser, LinkTiming, PbxAddress, PbxConnection
from tests.fakes.freeswitch import PASSWORD, FakeCore, FakeFreeswitch, event
from tests.integration.test_ami_connector import IMPATIENT, ended, gaps, listening, statuses
from tests.support.desk import eventually
from tests.support.ingest_tools import RecordedAnnouncements, count, stored_calls

CALLER, ALICE, BOB = "aaaa-1", "bbbb-2", "cccc-3"


def connection(pbx: FakeFreeswitch, timing: LinkTiming = IMPATIENT) -> PbxConnection:
    """Return how to connect to the PBX."""
    address = PbxAddress(host="127.0.0.1", port=pbx.port, secret=PASSWORD)
    reads = FreeswitchNormaliser("pbx", region="UA")
    return PbxConnection("pbx", lambda: EslLink("pbx", address, timing, reads), timing)


async def test_a_queue_call_arrives_as_it_happens(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Waiting, ringing, talking, held, ended; cut anywhere, in the middle of a letter, too."""
    core = FakeCore()
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(core.incoming(CALLER, "0671234567"))
        await line.play(core.queue("member-queue-start", CALLER, "Продажі"), piece=7)
        await eventually(lambda: "waiting" in statuses(announced))
        await line.play(core.ring(ALICE, "1001", caller=CALLER), piece=100)
        await eventually(lambda: "ringing" in statuses(announced))
        await line.play(core.channel("CHANNEL_ANSWER", ALICE))
        await line.play(core.queue("bridge-agent-start", CALLER, "Продажі", CC_Agent_UUID=ALICE))
        await line.play(core.bridge("CHANNEL_BRIDGE", CALLER, ALICE))
        await line.play(core.channel("CHANNEL_HOLD", ALICE))
        await eventually(
            lambda: {leg.status for leg in announced.changes[-1].after.legs} >= {"held"}
        )
        await line.play(core.channel("CHANNEL_UNHOLD", ALICE))
        await line.play(core.bridge("CHANNEL_UNBRIDGE", CALLER, ALICE))
        await line.play(core.hangup(ALICE) + core.hangup(CALLER))
        (call,) = await ended(pool)

    assert (call.direction, call.outcome) == ("inbound", "answered")
    assert (call.number_e164, call.answered_extension) == ("+380671234567", "1001")
    assert call.caller_name == "Ivan"
    assert [(stint.queue, stint.outcome) for stint in call.stints] == [("Продажі", "connected")]
    assert call.talk_ms is not None


async def test_whom_a_queue_rings_in_vain_is_a_part_of_the_call(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """mod_callcenter rings its agents by itself: no call of their own, and nobody else's miss."""
    core = FakeCore()
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(core.incoming(CALLER, "0671234567"))
        await line.play(core.queue("member-queue-start", CALLER))
        await line.play(core.ring_from_queue(ALICE, "1001", caller=CALLER))
        await eventually(lambda: "ringing" in statuses(announced))
        await line.play(core.hangup(ALICE, "NO_ANSWER", 19))
        await line.play(core.queue("member-queue-end", CALLER, CC_Cause="Cancel",
                                   CC_Cancel_Reason="BREAK_OUT") + core.hangup(CALLER))  # fmt: skip
        (call,) = await ended(pool)

    assert (call.direction, call.outcome) == ("inbound", "abandoned")
    assert [(leg.extension, leg.ended_reason) for leg in call.legs] == [
        (None, "canceled"), ("1001", "no_answer"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "q850", "reason"),
    [
        ("USER_BUSY", 17, "busy"),
        ("NO_ANSWER", 19, "no_answer"),
        ("CALL_REJECTED", 21, "rejected"),
        ("ORIGINATOR_CANCEL", 0, "canceled"),
        ("LOSE_RACE", 0, "answered_elsewhere"),
    ],
)
async def test_the_reason_why_a_telephone_stopped_ringing_is_stored(
    cause: str, q850: int, reason: str, pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Busy, not answered, rejected, withdrawn, or taken by a colleague."""
    core = FakeCore()
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(core.incoming(CALLER, "0671234567") + core.ring(BOB, "1002", caller=CALLER))
        await line.play(core.hangup(BOB, cause, q850) + core.hangup(CALLER))
        (call,) = await ended(pool)

    (bob,) = (leg for leg in call.legs if leg.extension == "1002")
    assert bob.ended_reason == reason


async def test_events_that_come_twice_are_stored_once(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Core-UUID and Event-Sequence name an event, through whichever connection it comes."""
    core = FakeCore()
    sent = core.incoming(CALLER, "0671234567") + core.ring(ALICE, "1001", caller=CALLER)
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx)) as pipeline:
        line = await pbx.next_connection()
        await line.play(sent)
        await eventually(lambda: "ringing" in statuses(announced))
        before = await count(pool, "call_events")
        await line.play(sent)
        await eventually(lambda: pipeline.metrics.duplicates == before)
        after = await count(pool, "call_events")

    assert after == before


async def test_half_a_character_loses_no_call(pool: Pool, announced: RecordedAnnouncements) -> None:
    """An emoji cut in two in a caller's name, as JSON or as bytes: it shows as U+FFFD."""
    core = FakeCore()
    halved = core.incoming(CALLER, "0671234567").partition(b"\n\n")[2].replace(
        b'"Ivan"', b'"Iv\\ud83d\\\\ud83d \\ud83d\\ude00\x01"'
    )  # fmt: skip
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(event(halved))
        await eventually(lambda: announced.changes)
        (call,) = await stored_calls(pool)

    assert call.caller_name == "Iv\ufffd\\ud83d \U0001f600\x01"
    assert call.number_e164 == "+380671234567"


async def test_what_cannot_be_read_is_counted_in_the_log(
    pool: Pool, announced: RecordedAnnouncements, caplog: pytest.LogCaptureFixture
) -> None:
    """Unreadable events are logged, at a falling rate, and the others arrive."""
    core, nested = FakeCore(), b"[" * 100_000
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(event(b'{"Event-Name":"CHANNEL') * 9 + event(b"[]") + event(nested))
        await line.play(core.incoming(CALLER, "0671234567"))
        await eventually(lambda: announced.changes)

    logged = [one.getMessage() for one in caplog.records if "unreadable event" in one.getMessage()]
    assert logged == [f"pbx sent an unreadable event: pbx=pbx count={n}" for n in (1, 2, 4, 8)]


async def test_a_restarted_freeswitch_has_lost_its_calls(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """A channel not listed any more has ended; one that began meanwhile appears, talking."""
    core, row = FakeCore(), {"direction": "inbound", "callstate": "ACTIVE", "call_uuid": "new-1"}
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx)):
        line = await pbx.next_connection()
        await line.play(core.incoming(CALLER, "0671234567") + core.ring(BOB, "1002", caller=CALLER))
        await eventually(lambda: "ringing" in statuses(announced))
        pbx.channels = [
            row | {"uuid": "new-1", "name": "sofia/external/0501112233@x", "cid_num": "0501112233"},
            row | {"uuid": "new-2", "name": "sofia/internal/1001@y", "dest": "1001"}
            | {"direction": "outbound"},
        ]  # fmt: skip
        line.disconnect()
        await pbx.next_connection()
        await eventually(lambda: {"ended", "talking"} <= set(statuses(announced)))
        lost, found = await stored_calls(pool)

    assert {leg.ended_reason for leg in lost.legs} == {"lost"}
    assert (found.status, found.number_e164) == ("talking", "+380501112233")
    assert found.answered_extension == "1001"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"-ERR show Command not found!\n",
        b'{"row_count":1,"rows":null}',
        b'{"row_count":2,"rows":[{"uuid":"aaaa-1"}]}',
        b'{"row_count":2,"rows":[{"uuid":"aaaa-1"},7]}',
        b'{"rows":[]}',
        b"[]",
    ],
)
async def test_who_does_not_see_the_channels_loses_none(
    answer: bytes | None,
    pool: Pool,
    announced: RecordedAnnouncements,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the right to list, or a complete answer, no call counts as ended; gaps are saved."""
    core = FakeCore()
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx)):
        pbx.channels = answer
        line = await pbx.next_connection()
        await line.play(core.incoming(CALLER, "0671234567") + core.ring(BOB, "1002", caller=CALLER))
        await eventually(lambda: "ringing" in statuses(announced))
        line.disconnect()
        again = await pbx.next_connection()
        await eventually(lambda: gaps(pool))
        await again.play(core.hangup(BOB, "NO_ANSWER", 19) + core.hangup(CALLER))
        (call,) = await ended(pool)
        rang_at = await pool.fetchval(
            "SELECT occurred_at FROM realtime.call_events WHERE type = 'leg.ringing'"
        )
        gap = await pool.fetchrow("SELECT * FROM realtime.ingest_gaps")

    assert {leg.ended_reason for leg in call.legs} == {"no_answer", "canceled"}
    assert gap is not None
    assert rang_at <= gap["began_at"] <= gap["ended_at"]
    assert "pbx did not list its channels (see esl-allowed-api): pbx=pbx" in caplog.text


async def test_a_wrong_password_is_logged_and_tried_again(
    pool: Pool, announced: RecordedAnnouncements, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator reads why; once the password is right, the connection comes by itself."""
    async with FakeFreeswitch(password="no") as pbx, listening(pool, announced, connection(pbx)):
        await eventually(lambda: len(pbx.connections) > 1)
        pbx.password = PASSWORD
        await pbx.next_connection()

    assert "pbx refused the sign-in: pbx=pbx reason=login: -ERR invalid" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    ("every_s", "why"), [(0.02, "no answer of type command/reply"), (0.0, "too many")]
)
async def test_a_talking_freeswitch_that_never_answers_is_given_up(
    every_s: float,
    why: str,
    pool: Pool,
    announced: RecordedAnnouncements,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The deadline is for the answer, whatever else arrives; a flood is cut off sooner."""
    timing = replace(IMPATIENT, connect_s=60.0 if every_s == 0 else 0.5)
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx, timing)):
        pbx.flood_data, pbx.flood_every_s = event(b"{}") * 200, every_s
        pbx.floods_at = "event json"
        await eventually(lambda: f"reason={why}" in caplog.text)
        pbx.floods_at = ""
        await pbx.next_connection()


async def test_a_half_open_connection_is_noticed(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """It sends nothing and answers nothing: the gateway connects again, and stays connected."""
    timing = replace(IMPATIENT, quiet_s=0.05, answer_s=0.5)
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx, timing)):
        pbx.answers = False
        await pbx.next_connection()
        line = await pbx.next_connection()
        pbx.answers = True
        await eventually(lambda: line.commands.count("api uptime") >= 3)

    assert len(pbx.connections) == 2
