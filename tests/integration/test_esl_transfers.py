"""Transfers in FreeSWITCH: one call, whoever takes it, and no missed one."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.db import Pool
from ingest.model.call_state import CallState
from tests.fakes.freeswitch import FakeCore, FakeFreeswitch
from tests.integration.test_ami_connector import ended, listening
from tests.integration.test_esl_connector import connection
from tests.support.desk import eventually
from tests.support.ingest_tools import RecordedAnnouncements, count

CALLER, ALICE, BOB, CONSULT = "aaaa-1", "bbbb-2", "cccc-3", "dddd-4"


@pytest.fixture
def core() -> FakeCore:
    return FakeCore(ago_s=600)


def talking(core: FakeCore) -> bytes:
    """A customer rings 1001, who answers after 5 s and talks for 30."""
    sent = core.incoming(CALLER, "0671234567") + core.ring(ALICE, "1001", caller=CALLER)
    core.later(5)
    sent += core.answer(ALICE, caller=CALLER)
    core.later(30)
    return sent


def sent_to(core: FakeCore, extension: str) -> bytes:
    """1001's telephone refers the customer there (REFER), and is let go."""
    source = core.source("bl_xfer", f"{extension}/default/XML")
    return core.bridge("CHANNEL_UNBRIDGE", CALLER, ALICE, transfer_source=source) + core.hangup(
        ALICE, "BLIND_TRANSFER", endpoint_disposition="BLIND_TRANSFER",
        transfer_to=f"blind:{CALLER}", transfer_destination=f"blind:{extension}",
    )  # fmt: skip


def with_bob(core: FakeCore) -> bytes:
    """1002 rings for 5 s, and talks with the customer for 20, till the end."""
    sent = core.ring(BOB, "1002", caller=CALLER)
    core.later(5)
    return sent + core.answer(BOB, caller=CALLER) + to_the_end(core, BOB)


def to_the_end(core: FakeCore, leg: str) -> bytes:
    core.later(20)
    over = core.bridge("CHANNEL_UNBRIDGE", CALLER, leg)
    return over + core.hangup(leg) + core.hangup(CALLER)


def consulting(core: FakeCore) -> bytes:
    """1001 puts the customer on hold, rings 1002 by another channel, and they talk for 15 s."""
    sent = core.channel("CHANNEL_HOLD", ALICE) + core.channel(
        "CHANNEL_CREATE", CONSULT, Call_Direction="inbound", Channel_Call_UUID=CONSULT,
        Channel_Name="sofia/internal/1001@10.0.0.8", Caller_Destination_Number="1002",
    )  # fmt: skip
    sent += core.ring(BOB, "1002", caller=CONSULT)
    core.later(5)
    sent += core.answer(BOB, caller=CONSULT)
    core.later(15)
    return sent


async def stored(
    pool: Pool, announced: RecordedAnnouncements, sent: bytes
) -> tuple[list[CallState], list[Any]]:
    """Play it twice, as a second connection would; return the calls and the transfers."""
    async with FakeFreeswitch() as pbx, listening(pool, announced, connection(pbx)) as pipeline:
        line = await pbx.next_connection()
        await line.play(sent)
        calls = await ended(pool)
        await line.play(sent)
        await eventually(lambda: pipeline.metrics.duplicates >= pipeline.metrics.accepted)
    rows = await pool.fetch(
        "SELECT type, leg_key, peer_leg_key, attrs->>'to' AS to_ FROM realtime.call_events"
        " WHERE type LIKE 'transfer.%'"
    )
    assert await count(pool, "missed_calls") == 0
    return calls, [tuple(row) for row in rows]


def handed_on(call: CallState) -> list[tuple[Any, ...]]:
    """Return how, by whom, to whom or into which queue, and how long was asked before."""
    return [
        (t.kind, t.by_extension, t.queue or t.to_extension, round((t.consult_ms or 0) / 1000))
        for t in call.transfers
    ]


def talked_s(call: CallState) -> dict[str, int]:
    """Return how long each telephone talked, in whole seconds."""
    return {leg.leg_key: round((leg.talk_ms or 0) / 1000) for leg in call.legs}


async def test_a_blind_transfer_is_one_call(
    pool: Pool, announced: RecordedAnnouncements, core: FakeCore
) -> None:
    """Two agents talked, one after the other; the transfer appears once, by whom and to whom."""
    sent = talking(core) + sent_to(core, "1002") + with_bob(core)

    (call,), transfers = await stored(pool, announced, sent)

    assert transfers == [("transfer.blind", ALICE, CALLER, "1002")]
    assert handed_on(call) == [("blind", "1001", "1002", 0)]
    assert (call.direction, call.outcome, call.answered_extension) == (
        "inbound", "answered", "1001",
    )  # fmt: skip
    assert talked_s(call) == {CALLER: 50, ALICE: 30, BOB: 20}
    assert {leg.ended_reason for leg in call.legs} == {"completed"}
    assert round((call.talk_ms or 0) / 1000) == 50


async def test_a_blind_transfer_into_a_queue_is_one_call(
    pool: Pool, announced: RecordedAnnouncements, core: FakeCore
) -> None:
    """The customer waits after talking: a stint of its own, connected after 5 s."""
    sent = talking(core) + sent_to(core, "5000") + core.queue("member-queue-start", CALLER)
    sent += core.ring(BOB, "1002", caller=CALLER)
    core.later(5)
    sent += core.queue("bridge-agent-start", CALLER, CC_Agent_UUID=BOB)
    sent += core.answer(BOB, caller=CALLER) + to_the_end(core, BOB)

    (call,), transfers = await stored(pool, announced, sent)

    assert transfers == [("transfer.blind", ALICE, CALLER, "5000")]
    assert handed_on(call) == [("blind", "1001", "sales", 0)]
    assert [(stint.queue, stint.outcome) for stint in call.stints] == [("sales", "connected")]
    assert round((call.stints[0].wait_ms or 0) / 1000) == 5
    assert (call.outcome, talked_s(call)) == ("answered", {CALLER: 50, ALICE: 30, BOB: 20})


async def test_a_caller_moved_by_the_crm_was_transferred_by_the_peer(
    pool: Pool, announced: RecordedAnnouncements, core: FakeCore
) -> None:
    """`uuid_transfer` leaves no more than why the partner ended, and where the caller went."""
    sent = talking(core)
    source = core.source("bl_xfer", "1002/default/XML")
    sent += core.bridge("CHANNEL_UNBRIDGE", CALLER, ALICE, transfer_source=source)
    sent += core.hangup(ALICE, "BLIND_TRANSFER", last_bridge_to=CALLER) + with_bob(core)

    (call,), transfers = await stored(pool, announced, sent)

    assert transfers == [("transfer.blind", ALICE, CALLER, "1002")]
    assert call.outcome == "answered"


async def test_the_dialplan_sending_a_caller_on_is_no_transfer(
    pool: Pool, announced: RecordedAnnouncements, core: FakeCore
) -> None:
    """A menu, or `transfer 1001 XML default`, sets the same variable before anybody talks."""
    source = core.source("bl_xfer", "1001/default/XML")
    sent = core.incoming(CALLER, "0671234567") + core.ring(ALICE, "1001", caller=CALLER)
    core.later(2)
    bridged = str(core.now_us)
    sent += core.answer(ALICE, caller=CALLER) + core.event(
        "CHANNEL_UNBRIDGE",
        {"Unique-ID": CALLER, "Bridge-A-Unique-ID": CALLER, "Bridge-B-Unique-ID": ALICE,
         "variable_transfer_source": source, "Caller-Channel-Bridged-Time": bridged},
    )  # fmt: skip
    sent += core.hangup(ALICE) + core.hangup(CALLER, transfer_source=source)

    (call,), transfers = await stored(pool, announced, sent)

    assert (call.outcome, transfers) == ("answered", [])


async def test_an_attended_transfer_joins_the_consultation(
    pool: Pool, announced: RecordedAnnouncements, core: FakeCore
) -> None:
    """Once 1001's telephone has put them together there is one call, in which three talked."""
    sent = talking(core) + consulting(core)
    sent += core.bridge("CHANNEL_UNBRIDGE", CALLER, ALICE)
    sent += core.bridge("CHANNEL_UNBRIDGE", CONSULT, BOB)
    history = [core.source("att_xfer", "1001@x/1002@x"), core.source("uuid_br", BOB)]
    sent += core.bridge("CHANNEL_BRIDGE", CALLER, BOB, transfer_history=history)
    sent += core.hangup(ALICE, transfer_to=f"att:{BOB}")
    sent += core.hangup(CONSULT, "ATTENDED_TRANSFER", endpoint_disposition="ATTENDED_TRANSFER")
    sent += to_the_end(core, BOB)

    (call,), transfers = await stored(pool, announced, sent)

    assert transfers == [("transfer.attended", ALICE, BOB, None)]
    assert handed_on(call) == [("attended", "1001", "1002", 15)]
    assert (call.direction, call.outcome, call.number_e164) == (
        "inbound", "answered", "+380671234567",
    )  # fmt: skip
    assert talked_s(call) == {CALLER: 70, ALICE: 50, CONSULT: 15, BOB: 35}
    assert {leg.ended_reason for leg in call.legs} == {"completed"}


async def test_an_attended_transfer_by_keys_follows_from_the_bridge(
    pool: Pool, announced: RecordedAnnouncements, core: FakeCore
) -> None:
    """`att_xfer` leaves no note on who hung up: whom 1001 rang is joined with the customer."""
    sent = talking(core) + core.ring(BOB, "1002", caller=ALICE)
    core.later(5)
    sent += core.bridge("CHANNEL_UNBRIDGE", CALLER, ALICE) + core.answer(BOB, caller=ALICE)
    core.later(15)
    sent += core.bridge("CHANNEL_UNBRIDGE", ALICE, BOB) + core.hangup(ALICE)
    sent += core.bridge(
        "CHANNEL_BRIDGE", BOB, CALLER, originator=ALICE, transfer_source=core.source("uuid_br", "x")
    )
    sent += to_the_end(core, BOB)

    (call,), transfers = await stored(pool, announced, sent)

    assert transfers == [("transfer.attended", ALICE, BOB, None)]
    assert handed_on(call) == [("attended", "1001", "1002", 15)]
    assert (call.outcome, call.answered_extension) == ("answered", "1001")
    assert talked_s(call) == {CALLER: 55, ALICE: 50, BOB: 35}


async def test_an_attended_transfer_that_is_given_up_is_none(
    pool: Pool, announced: RecordedAnnouncements, core: FakeCore
) -> None:
    """1001 takes the customer back; the consultation was a call between the two, no missed one."""
    sent = talking(core) + consulting(core) + core.bridge("CHANNEL_UNBRIDGE", CONSULT, BOB)
    sent += core.hangup(BOB) + core.hangup(CONSULT) + core.channel("CHANNEL_UNHOLD", ALICE)
    sent += to_the_end(core, ALICE)

    (call, consultation), transfers = await stored(pool, announced, sent)

    assert transfers == []
    assert (call.outcome, talked_s(call)) == ("answered", {CALLER: 70, ALICE: 70})
    assert (consultation.direction, talked_s(consultation)) == ("internal", {CONSULT: 15, BOB: 15})


async def test_a_consultation_that_nobody_answers_is_no_missed_call(
    pool: Pool, announced: RecordedAnnouncements, core: FakeCore
) -> None:
    """1001 rings 1002 by keys, in the customer's call, and takes the customer back."""
    sent = talking(core) + core.ring(BOB, "1002", caller=ALICE)
    core.later(10)
    sent += core.hangup(BOB, "ORIGINATOR_CANCEL", 0) + to_the_end(core, ALICE)

    (call,), transfers = await stored(pool, announced, sent)

    assert transfers == []
    assert (call.outcome, talked_s(call)) == ("answered", {CALLER: 60, ALICE: 60, BOB: 0})
