"""What a worker says of itself in /metrics is what has happened to it."""

from __future__ import annotations

import asyncio
import re

from gateway.ops.histogram import LATENCY_S, Histogram
from gateway.ops.loop_lag import LoopLag
from gateway.protocol import MessageCreated, PresenceWatch
from tests.acceptance.sockets.test_socket_endings import upgraded
from tests.conformance.frames import TEXT, close_frame, frame
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually
from tests.support.raw import raw


async def scraped(desk: Desk, node: int = 0) -> dict[str, float]:
    """Return `name{labels}` → value."""
    text = (await desk.http(node=node).get("/metrics")).text
    return {
        name: float(value)
        for name, value in re.findall(r"^(\w+(?:{.*})?) (\S+)$", text, re.MULTILINE)
    }


async def test_who_is_here_is_counted(desk: Desk) -> None:
    """Connections, topics, streams and watched people come, and go with their clients."""
    empty = await scraped(desk)
    oksana = await desk.client(OKSANA)
    await oksana.open(PETRO)
    await oksana.request(PresenceWatch(employee_ids=[PETRO, IRYNA]))

    full = await scraped(desk)

    for name, there in (("connections", 1), ("topics", 3), ("streams", 1), ("presence_watched", 2)):
        assert (empty[f"gateway_{name}"], full[f"gateway_{name}"]) == (0, there), name
    assert full["gateway_deadlines"] > empty["gateway_deadlines"]
    await oksana.close()

    async def gone() -> bool:
        now = await scraped(desk)
        return all(
            now[f"gateway_{name}"] == 0 for name in ("connections", "topics", "presence_watched")
        )

    await eventually(gone)


async def test_what_goes_in_and_out_is_counted(desk: Desk) -> None:
    """Frames and bytes of both directions, and a write may carry several frames."""
    async with raw(desk.nodes[0].socket_url) as petro:
        await petro.hello(desk.token(PETRO))
        before = await scraped(desk)

        await petro.say([{"type": "ping", "id": number} for number in range(1, 6)])
        for _ in range(5):
            await petro.hear()
        after = await scraped(desk)

    grown = {name: after[name] - before[name] for name in after if name in before}
    assert grown["gateway_frames_in_total"] == 1
    assert grown["gateway_bytes_in_total"] > 5 * len('{"type": "ping", "id": 1}')
    assert grown["gateway_frames_out_total"] == 5
    assert grown["gateway_writes_total"] == 1
    assert grown["gateway_bytes_out_total"] > 5 * len('{"id":1,"ok":{}}')


async def test_frames_of_those_who_have_gone_stay_counted(desk: Desk) -> None:
    """A counter never falls: what a client sent is still in the sum when it is gone."""
    async with raw(desk.nodes[0].socket_url) as petro:
        await petro.hello(desk.token(PETRO))
        during = (await scraped(desk))["gateway_frames_in_total"]
    await eventually(lambda: not desk.nodes[0].node.sessions)

    assert (await scraped(desk))["gateway_frames_in_total"] >= during == 1


async def test_closes_say_who_began(desk: Desk) -> None:
    """A client's goodbye, its vanishing, and a close of ours are three different lines."""
    port = desk.nodes[0].port
    async with upgraded(port) as client:
        client.say(close_frame(1000))
        await client.read_to_the_end()
    async with upgraded(port) as client:
        client.reset()
    async with upgraded(port) as client:
        client.say(frame(TEXT, b"{}", mask=None))
        await client.read_to_the_end()
    await eventually(lambda: not desk.nodes[0].node.sessions)

    found = await scraped(desk)
    closes = {name: value for name, value in found.items() if name.startswith("gateway_closes")}
    assert closes == {
        'gateway_closes_total{by="client",code="1000"}': 1,
        'gateway_closes_total{by="client",code="1006"}': 1,
        'gateway_closes_total{by="server",code="1002"}': 1,
    }


async def test_those_turned_away_are_counted_by_reason(empty_desk: Desk) -> None:
    """Before the upgrade: one address too many, and a head that never ends."""
    node = await empty_desk.start_node(connections_per_address=1, head_s=0.2)
    async with upgraded(node.port):
        _, second = await asyncio.open_connection("127.0.0.1", node.port)
        second.write(b"GET /v1/ws HTTP/1.1\r\n")
        await eventually(lambda: node.node.metrics.rejected["head too slow"] == 1)
        second.transport.abort()

        found = await scraped(empty_desk)

    assert found['gateway_connections_rejected_total{reason="head too slow"}'] == 1


async def test_hellos_and_commands_have_latencies(desk: Desk) -> None:
    """Each in its own histogram; the sum is below what passed meanwhile."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    oksana = await desk.client(OKSANA)
    petro = await desk.client(PETRO)
    conversation = (await oksana.open(PETRO)).conversation
    for number in range(3):
        await oksana.send(conversation.id, f"{number}")
        await petro.next(MessageCreated)
    took = loop.time() - began

    found = await scraped(desk)

    sent = 'gateway_command_seconds_{}{{command="message.send"{}}}'
    assert found["gateway_hello_seconds_count"] == 2
    assert found[sent.format("count", "")] == 3
    assert found[sent.format("bucket", ',le="+Inf"')] == 3
    assert found[sent.format("bucket", ',le="10"')] == 3
    assert 0 < found[sent.format("sum", "")] < took
    assert 'gateway_command_seconds_count{command="hello"}' not in found
    assert found["gateway_database_connections"] >= 1


async def test_refusals_are_counted_by_code(desk: Desk) -> None:
    """Whatever error a client is told has its line."""
    async with raw(desk.nodes[0].socket_url) as client:
        assert await client.code_of({"type": "unread.get", "id": 1}) == "session.hello_required"
        assert await client.code_of({"type": "no.such", "id": 2}) == "command.unknown"

        found = await scraped(desk)

    assert found['gateway_refusals_total{code="session.hello_required"}'] == 1
    assert found['gateway_refusals_total{code="command.unknown"}'] == 1


async def test_a_blocked_event_loop_shows() -> None:
    """A timer that should have been called during 0.3 s of work says how late it was."""
    lateness = Histogram()
    lag = LoopLag(lateness)
    lag.start()
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.3
    while loop.time() < until:
        pass
    await eventually(lambda: lateness.count >= 2)
    lag.stop()

    late = lateness.counts[LATENCY_S.index(0.1) + 1 :]
    assert sum(late) == 1
    assert lateness.total_s > 0.1


def test_a_histogram_counts_below_each_bound() -> None:
    """An observation on a bound is not above it; the last bucket holds all of them."""
    histogram = Histogram()
    for seconds in (0.0, 0.001, 0.0011, 10.0, 10.1):
        histogram.observe(seconds)

    buckets = dict(histogram.buckets())
    assert buckets["0.001"] == 2
    assert buckets["0.0025"] == 3
    assert buckets["10"] == 4
    assert buckets["+Inf"] == histogram.count == 5
    assert histogram.total_s == sum((0.0, 0.001, 0.0011, 10.0, 10.1))
