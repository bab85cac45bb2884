"""A node that stops: goodbyes are spread, what has begun is answered, nothing is lost."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from gateway.protocol import ConversationCreated, MessageCreated
from tests.support.desk import OKSANA, PETRO, Desk
from tests.support.raw import RawSocket, raw


async def test_commands_that_have_begun_are_answered_before_the_goodbye(desk: Desk) -> None:
    """Whatever was sent before the stop has its reply; then bye, then 4601."""
    node = desk.nodes[0]
    oksana = await desk.client(OKSANA, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    async with raw(node.socket_url) as petro:
        await petro.hello(desk.token(PETRO))
        for number in range(30):
            await petro.say(
                {
                    "type": "message.send", "id": number, "conversation_id": conversation.id,
                    "client_key": str(uuid.uuid4()), "text": f"{number}",
                }
            )  # fmt: skip
        answered = {(await _reply(petro))["id"]}
        stopping = asyncio.create_task(node.stop())
        said: dict[str, Any] = {}
        while said.get("type") != "bye":
            said = await petro.hear()
            if "ok" in said:
                answered.add(said["id"])
            elif "id" in said:
                assert said["error"]["code"] == "draining"

        assert said["resume"] is True
        assert await petro.closed_with() == 4601
        await stopping

    stored = await desk.sql("SELECT body FROM realtime.messages ORDER BY seq")
    assert answered <= {int(row["body"]) for row in stored}


async def _reply(client: RawSocket) -> dict[str, Any]:
    while "id" not in (heard := await client.hear()):
        pass
    return heard


async def test_many_goodbyes_are_spread_over_the_drain(empty_desk: Desk) -> None:
    """Three hundred clients are not sent away at one moment."""
    node = await empty_desk.start_node(drain_s=2.0)
    loop = asyncio.get_running_loop()
    gone: list[float] = []

    async def stay() -> None:
        async with raw(node.socket_url) as client:
            await client.hello(empty_desk.token(OKSANA))
            here.release()
            assert await client.closed_with() == 4601
            gone.append(loop.time())

    here = asyncio.Semaphore(0)
    staying = [asyncio.create_task(stay()) for _ in range(300)]
    for _ in staying:
        await here.acquire()
    await node.stop()
    await asyncio.gather(*staying)

    assert len(gone) == 300
    assert max(gone) - min(gone) > 0.15


async def test_a_rolling_restart_loses_nothing(desk: Desk) -> None:
    """Clients of a stopping node go elsewhere by themselves; every message arrives once."""
    third = await desk.start_node()
    urls = [desk.nodes[0].socket_url, third.socket_url]
    oksana = await desk.client(OKSANA, node=1)
    petro = await desk.client(PETRO, node=0)
    conversation = (await oksana.open(PETRO)).conversation
    await petro.next(ConversationCreated)
    petro._socket.url = urls[1]  # what a load balancer does once the first is not ready

    stopping = None
    for number in range(60):
        await oksana.send(conversation.id, f"{number}")
        if number == 20:
            stopping = asyncio.create_task(desk.nodes[0].stop())
    assert stopping is not None
    await stopping

    heard = [(await petro.next(MessageCreated)).message.text for _ in range(60)]
    assert heard == [f"{number}" for number in range(60)]
