"""Agents and watchers receive what agents do now, on every node."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.client import Connection
from gateway.protocol import AgentState, AgentStateChanged
from tests.support.desk import OKSANA, PETRO, Desk, employee, eventually, nothing_within
from tests.support.queues import SALES, SUPPORT, QueuePbx, supervisor, watching

pytestmark = pytest.mark.usefixtures("brisk")


async def next_state(client: Connection, state: str, *, of: int = OKSANA) -> AgentState:
    """Return the next state of this kind of an agent that client receives."""
    last = 0
    while True:
        agent: AgentState = (await client.next(AgentStateChanged)).agent
        if agent.employee_id != of:
            continue
        assert agent.version > last, "an older state after a newer one"
        last = agent.version
        if agent.state == state:
            return agent


async def test_an_agent_receives_the_state_of_their_telephone(desk: Desk) -> None:
    """Ringing, talking, holding, talking, idle: since when, and about which call."""
    oksana, pbx = await desk.client(OKSANA, node=1), QueuePbx(desk)
    welcomed = oksana.welcome.agent
    assert welcomed is not None
    assert (welcomed.state, welcomed.since) == ("idle", None)

    await pbx.enter("c1")
    await pbx.ring("c1")
    ringing = await next_state(oksana, "ringing")
    await pbx.answer("c1")
    talking = await next_state(oksana, "talking")
    again = await desk.client(OKSANA)
    await pbx.submit(("leg.hold_on", {"leg_key": "c1-101"}))
    held = await next_state(oksana, "held")
    await pbx.submit(("leg.hold_off", {"leg_key": "c1-101"}))
    await next_state(oksana, "talking")
    await pbx.hang_up("c1", "101")
    idle = await next_state(oksana, "idle")

    assert ringing.call_id == talking.call_id == held.call_id
    assert (ringing.queue, idle.call_id, idle.queue) == (SALES, None, None)
    moments = [ringing.since, talking.since, held.since, idle.since]
    assert moments == sorted(moments, key=lambda at: at or pbx.now)
    assert None not in moments
    assert again.welcome.agent is not None
    assert (again.welcome.agent.state, again.welcome.agent.since) == ("talking", talking.since)
    assert (await next_state(again, "idle")).since == idle.since


async def test_a_pause_is_published_whatever_the_order_of_its_events(desk: Desk) -> None:
    """Wrap-up differs from a break, one queue from all; colleagues receive nothing."""
    pbx = QueuePbx(desk)
    for queue in (SALES, SUPPORT):
        await pbx.agent("login", queue=queue)
    oksana, petro = await desk.client(OKSANA, node=1), await desk.client(PETRO, node=1)
    stranger = await desk.client(employee(15))
    client, shown = await watching(desk, [SUPPORT], agents=True)
    assert stranger.welcome.agent is None
    assert [(agent.employee_id, agent.state) for agent in shown.agents] == [(OKSANA, "idle")]

    await pbx.agent("paused", attrs={"reason": "Wrap-Up"})
    in_one = await next_state(client, "idle")
    await pbx.agent("paused", queue=SUPPORT, attrs={"reason": "acw"})
    wrapping = await next_state(client, "wrap_up")
    await pbx.agent("paused", queue=None, attrs={"reason": "lunch"})
    eating = await next_state(client, "paused")
    moment = pbx.now
    pbx.now -= moment - moment.replace(year=moment.year - 1)
    await pbx.agent("unpaused", queue=None)
    pbx.now = moment
    await pbx.agent("unpaused", queue=None)
    back = await next_state(client, "idle")
    await pbx.agent("logoff", queue=None)
    gone = await next_state(client, "offline")

    assert [(one.queue, one.paused, one.reason) for one in in_one.queues] == [
        (SALES, True, "Wrap-Up"), (SUPPORT, False, None),
    ]  # fmt: skip
    assert (wrapping.reason, eating.reason, back.reason) == ("acw", "lunch", None)
    assert back.since is not None
    assert eating.since is not None
    assert back.since > eating.since
    assert gone.queues == []
    assert await next_state(oksana, "offline") == gone
    listed: Any = await desk.http(await supervisor(desk)).get("/v1/telephony/agents")
    agents = {one["employee_id"]: one for one in listed.json()["agents"]}
    assert [*agents] == sorted(agents)
    assert agents[OKSANA]["state"] == "offline"
    assert agents[OKSANA]["version"] > gone.version
    assert agents[PETRO]["state"] == "idle"
    await nothing_within(petro.next(AgentStateChanged), 0.1)


async def test_a_state_that_the_bus_lost_is_delivered_when_it_is_back(desk: Desk) -> None:
    """The agent receives a pause whose announcement was lost, when the node compares."""
    oksana, node = await desk.client(OKSANA, node=1), desk.nodes[1].node
    deliver = node.delivery.deliver
    node.delivery.bus._deliver = lambda _announcement: None  # type: ignore[attr-defined]
    await QueuePbx(desk).agent("paused")
    await eventually(lambda: desk.sql("SELECT FROM realtime.agent_marks WHERE paused"))
    node.delivery.bus._deliver = deliver  # type: ignore[attr-defined]

    node.delivery.resynced()

    assert (await next_state(oksana, "paused")).reason is None
