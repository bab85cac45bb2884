"""The Python client on a line on which nothing moved for a while."""

from __future__ import annotations

from typing import Any

from gateway.client import connect
from gateway.protocol import MessageCreated
from gateway.protocol.close_codes import NO_PONG
from tests.faults.proxy import Proxy
from tests.support.desk import OKSANA, PETRO, Desk, eventually


async def test_a_client_notices_at_once_that_it_was_given_up(empty_desk: Desk) -> None:
    """A ping, many messages and the goodbye come all at once: it goes, and comes back."""
    node = await empty_desk.start_node(ping_s=0.5, pong_s=1.0)
    patient = await empty_desk.start_node()
    oksana = await empty_desk.client(OKSANA, node=1)
    async with (
        Proxy(node.port) as line,
        connect(f"ws://127.0.0.1:{line.port}/v1/ws", empty_desk.token(PETRO)) as petro,
    ):
        conversation = (await oksana.open(PETRO)).conversation
        (session,) = node.node.sessions
        waiting: Any = session
        await eventually(
            lambda: (
                waiting._deadlines._pinged_at
                and waiting.received_at >= waiting._deadlines._pinged_at
            )
        )
        line.set("stall")
        await eventually(lambda: waiting._deadlines._pinged_at > waiting.received_at)
        for number in range(40):
            await oksana.send(conversation.id, f"{number}")
        await eventually(lambda: node.node.metrics.closes[NO_PONG.code] == 1)

        line.set("open")

        await eventually(lambda: petro.reconnects == 1, timeout_s=5)
        heard = [(await petro.next(MessageCreated)).message.text for _ in range(40)]
    assert heard == [f"{number}" for number in range(40)]
    assert patient.node.sessions
