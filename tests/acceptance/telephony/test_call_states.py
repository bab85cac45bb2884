"""What a call says of itself beside who talked: mailboxes and parking, as clients see it."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.protocol import CallbackList, CallList, CallUpdated
from tests.support.calls import IVAN, post
from tests.support.desk import DIRECTOR, OKSANA, PETRO, Desk, eventually
from tests.support.scripted_pbx import T0, seconds
from tests.unit.test_conference_calls import Plan, played

CALLS = "/v1/telephony/calls"
OVERVIEW = "/v1/telephony/stats/overview"
HOUR = timedelta(hours=1)
FIRST, SECOND = "PJSIP/trunk-00000000", "PJSIP/trunk-00000001"


def came_in(call: str) -> dict[str, Any]:
    return {"type": "call.started", "leg_key": call, "attrs": {"number": IVAN}}


def rings(call: str, leg: str, extension: str) -> dict[str, Any]:
    return {"type": "offer.started", "leg_key": f"{call}{leg}", "peer_leg_key": call,
            "extension": extension}  # fmt: skip


async def test_who_spoke_to_a_mailbox_is_called_back_and_counted_apart(desk: Desk) -> None:
    """A filter finds the call; statistics count it as missed, and of these as voicemail."""
    spoke, silent = uuid.uuid4().hex, uuid.uuid4().hex
    for call, message in ((spoke, "left"), (silent, "none")):
        await post(
            desk, call, came_in(call), rings(call, "b", "101"),
            {"type": "offer.ended", "leg_key": f"{call}b", "attrs": {"result": "no_answer"}},
            {"type": "voicemail.started", "attrs": {"mailbox": "101"}},
            {"type": "voicemail.ended", "attrs": {"message": message}},
            {"type": "call.ended"},
        )  # fmt: skip
    director = await desk.client(DIRECTOR)

    found = (await director.request(CallList(outcome="voicemail"))).calls
    missed = (await director.request(CallList(outcome="missed"))).calls
    now = datetime.now(UTC)
    period = {"since": (now - HOUR).isoformat(), "until": (now + HOUR).isoformat()}
    stats = (await desk.http(DIRECTOR).get(OVERVIEW, params=period)).json()

    assert [(call.mailbox, call.message_left) for call in found] == [("101", True)]
    assert [(call.mailbox, call.message_left) for call in missed] == [("101", False)]
    assert (stats["inbound_missed"], stats["inbound_voicemail"]) == (2, 1)

    async def both_to_be_called_back() -> bool:
        page = await director.request(CallbackList())
        return [item.calls for item in page.callbacks] == [2]

    await eventually(both_to_be_called_back)


async def test_a_parked_call_names_its_slot_and_who_fetched_it(desk: Desk) -> None:
    """On every node, also on one that reads the call from the database before it goes on."""
    call = uuid.uuid4().hex
    oksana = await desk.client(OKSANA)
    await post(
        desk, call, came_in(call), rings(call, "b", "101"),
        {"type": "leg.answered", "leg_key": f"{call}b"},
        {"type": "call.parked", "peer_leg_key": f"{call}b", "attrs": {"slot": "701"}},
        {"type": "leg.ended", "leg_key": f"{call}b"},
    )  # fmt: skip

    while not (parked := (await oksana.next(CallUpdated)).call).parkings:
        pass
    (first,) = (await (await desk.client(OKSANA, node=1)).request(CallList())).calls
    await desk.start_node()
    await post(
        desk, call,
        {"type": "leg.created", "leg_key": f"{call}c", "extension": "102"},
        {"type": "call.unparked", "peer_leg_key": f"{call}c"},
        {"type": "call.ended"},
        node=-1,
    )  # fmt: skip
    shown = (await desk.http(OKSANA).get(f"{CALLS}/{first.id}")).json()["call"]

    assert first == parked
    assert [(one.by, one.slot, one.until) for one in parked.parkings] == [(OKSANA, "701", None)]
    (ended,) = shown["parkings"]
    assert (ended["by"], ended["to"], ended["result"]) == (OKSANA, PETRO, "picked_up")
    assert shown["parked_ms"] >= 0


async def test_an_agent_in_a_conference_of_two_callers_talks_once(desk: Desk) -> None:
    """Each caller's call is answered by the agent and shows nothing of the other caller."""
    plan = Plan(
        random.Random(0),
        {FIRST: (5, 60), SECOND: (20, 90)},
        {"PJSIP/301-00000011": (10, 95)},
    )
    await desk.nodes[0].app.state.gateway.pipeline.submit(played(plan).heard)
    http = desk.http(DIRECTOR)
    period = {"since": T0.isoformat(), "until": (T0 + HOUR).isoformat()}

    calls = (await http.get(CALLS, params={"direction": "inbound"})).json()["calls"]
    shown = [(await http.get(f"{CALLS}/{call['id']}")).json() for call in calls]
    agents = (await http.get("/v1/telephony/stats/agents", params=period)).json()["agents"]

    assert [(call["room"], call["outcome"]) for call in calls] == [("7100", "answered")] * 2
    told = [{one["leg"] for one in call["timeline"]} for call in shown]
    agents_leg = {"PJSIP/301-00000011"}
    assert [legs - agents_leg for legs in told] == [{SECOND}, {FIRST}]
    (agent,) = agents
    assert seconds(agent["handling"]["talk_ms"]) == 80
    assert agent["placed"] == 0
