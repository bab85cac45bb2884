"""What agents do now: told to themselves and to those who watch, on whichever node."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.client import Connection
from gateway.protocol import AgentState, AgentStateChanged
from tests.support.desk import OKSANA, PETRO, Desk, eventually, nothing_within
from tests.support.queues import SALES, SUPPORT, QueuePbx, supervisor, watching

pytestmark = pytest.mark.usefixtures("brisk")


async def told(client: Connection, state: str, *, of: int = OKSANA) -> AgentState:
    """Return the first state of this kind that client hears of an agent."""
    last = 0
    while True:
        agent: AgentState = (await client.next(AgentStateChanged)).agent
        if agent.employee_id != of:
            continue
        assert agent.version > last, "an older state after a newer one"
        last = agent.version
        if agent.state == state:
            return agent


async def test_an_agent_hears_of_their_own_telephone(desk: Desk) -> None:
    """Ringing, talking, holding, talking, idle: since when, and which call it is about."""
    oksana, pbx = await desk.client(OKSANA, node=1), QueuePbx(desk)
    welcomed = oksana.welcome.agent
    assert welcomed is not None
    assert (welcomed.state, welcomed.since) == ("idle", None)

    await pbx.enter("c1")
    await pbx.ring("c1")
    ringing = await told(oksana, "ringing")
    await pbx.answer("c1")
    talking = await told(oksana, "talking")
    again = await desk.client(OKSANA)
    await pbx.submit(("leg.hold_on", {"leg_key": "c1-101"}))
    held = await told(oksana, "held")
    await pbx.submit(("leg.hold_off", {"leg_key": "c1-101"}))
    await told(oksana, "talking")
    await pbx.hang_up("c1", "101")
    idle = await told(oksana, "idle")

    assert ringing.call_id == talking.call_id == held.call_id
    assert (ringing.queue, idle.call_id, idle.queue) == (SALES, None, None)
    moments = [ringing.since, talking.since, held.since, idle.since]
    assert moments == sorted(moments, key=lambda at: at or pbx.now)
    assert None not in moments
    assert again.welcome.agent is not None
    assert (again.welcome.agent.state, again.welcome.agent.since) == ("talking", talking.since)
    assert (await told(again, "idle")).since == idle.since


async def test_a_pause_is_told_in_whatever_order_it_comes(desk: Desk) -> None:
    """Wrap-up is told from a break, one queue from all; colleagues hear nothing of it."""
    pbx = QueuePbx(desk)
    for queue in (SALES, SUPPORT):
        await pbx.agent("login", queue=queue)
    oksana, petro = await desk.client(OKSANA, node=1), await desk.client(PETRO, node=1)
    stranger = await desk.client(15)
    client, shown = await watching(desk, [SUPPORT], agents=True)
    assert stranger.welcome.agent is None
    assert [(agent.employee_id, agent.state) for agent in shown.agents] == [(OKSANA, "idle")]

    await pbx.agent("paused", attrs={"reason": "Wrap-Up"})
    in_one = await told(client, "idle")
    await pbx.agent("paused", queue=SUPPORT, attrs={"reason": "acw"})
    wrapping = await told(client, "wrap_up")
    await pbx.agent("paused", queue=None, attrs={"reason": "lunch"})
    eating = await told(client, "paused")
    moment = pbx.now
    pbx.now -= moment - moment.replace(year=moment.year - 1)
    await pbx.agent("unpaused", queue=None)
    pbx.now = moment
    await pbx.agent("unpaused", queue=None)
    back = await told(client, "idle")
    await pbx.agent("logoff", queue=None)
    gone = await told(client, "offline")

    assert [(one.queue, one.paused, one.reason) for one in in_one.queues] == [
        (SALES, True, "Wrap-Up"), (SUPPORT, False, None),
    ]  # fmt: skip
    assert (wrapping.reason, eating.reason, back.reason) == ("acw", "lunch", None)
    assert back.since is not None
    assert eating.since is not None
    assert back.since > eating.since
    assert gone.queues == []
    assert await told(oksana, "offline") == gone
    listed: Any = await desk.http(await supervisor(desk)).get("/v1/telephony/agents")
    first, second = listed.json()["agents"][:2]
    assert (first["employee_id"], first["state"], first["version"] > gone.version) == (
        OKSANA, "offline", True,
    )  # fmt: skip
    assert (second["employee_id"], second["state"]) == (PETRO, "idle")
    await nothing_within(petro.next(AgentStateChanged), 0.1)


async def test_what_the_bus_lost_is_told_once_it_is_back(desk: Desk) -> None:
    """Of a pause that was announced to nobody the agent hears when the node compares."""
    oksana, node = await desk.client(OKSANA, node=1), desk.nodes[1].node
    deliver = node.delivery.deliver
    node.delivery.bus._deliver = lambda _announcement: None  # type: ignore[attr-defined]
    await QueuePbx(desk).agent("paused")
    await eventually(lambda: desk.sql("SELECT FROM realtime.agent_marks WHERE paused"))
    node.delivery.bus._deliver = deliver  # type: ignore[attr-defined]

    node.delivery.resynced()

    assert (await told(oksana, "paused")).reason is None
