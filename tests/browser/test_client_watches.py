"""web/sdk/client.js in a real browser: what was watched is watched again on a new connection."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.browser.client import Client, arrive
from tests.browser.fake_gateway import FakeGateway, Visit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LISTEN = """() => {
  const types = ['presence.changed', 'queue.changed', 'agent.state_changed', 'queue.unwatched'];
  for (const type of types) {
    gateway.on(type, (event) => events.push(event));
  }
}"""
KIND = {"presence.watch": "employee_ids", "queue.watch": "queues"}


async def watches(visit: Visit) -> list[tuple[str, Any]]:
    """Answer the watches that come before the next ping request; return what each names."""
    seen: list[tuple[str, Any]] = []
    while True:
        frame = await visit.receive()
        if frame["type"] == "unread.get":
            await visit.send({"id": frame["id"], "ok": {}})
            return seen
        if frame["type"] not in KIND:
            continue
        seen.append((frame["type"], frame[KIND[frame["type"]]]))
        await visit.send({"id": frame["id"], "ok": snapshot(*seen[-1])})


def snapshot(type_: str, named: Any) -> dict[str, Any]:
    if type_ == "presence.watch":
        return {"presences": [{"employee_id": one} for one in named], "degraded": False}
    queues = [{"queue": one} for one in named]
    return {"queues": queues, "agents": [{"employee_id": 7}] if queues else [], "tz": "UTC"}


async def come_back(client: Client, fake: FakeGateway, visit: Visit) -> Visit:
    await visit.drain()
    await client.until("gateway.state.name === 'waiting'")
    await client.wait_for_retry()
    back = await fake.welcomed()
    await client.until("gateway.state.name === 'live'")
    return back


@pytest.mark.cases(1)
@pytest.mark.parametrize("seed", range(6))
async def test_the_last_watch_holds_on_each_new_connection(
    client: Client, fake: FakeGateway, seed: int
) -> None:
    """Several watches, some given while offline, some of nobody: the last one is sent last."""
    rng = random.Random(seed)
    names: dict[str, list[list[Any]]] = {
        "presence.watch": [[], [1], [2, 3]],
        "queue.watch": [[], ["sales"], ["sales", "support"]],
    }
    last: dict[str, Any] = {}

    async def request() -> None:
        type_ = rng.choice(list(names))
        last[type_] = rng.choice(names[type_])
        await client.request(type_, **{KIND[type_]: last[type_]})

    visit = await arrive(client, fake)
    for _ in range(2):
        for _ in range(rng.randint(0, 3)):
            await request()
        await client.request("unread.get")
        await watches(visit)
        await visit.drain()
        await client.until("gateway.state.name === 'waiting'")
        for _ in range(rng.randint(0, 2)):
            await request()
        await client.wait_for_retry()
        visit = await fake.welcomed()
        await client.until("gateway.state.name === 'live'")
        await client.request("unread.get")

        sent = dict(await watches(visit))

        expected = {type_: named for type_, named in last.items() if named or type_ in sent}
        assert sent == expected


@pytest.mark.slow
async def test_a_snapshot_comes_as_events(client: Client, fake: FakeGateway) -> None:
    """As if it had changed: the application needs no other code for it."""
    visit = await arrive(client, fake)
    await client.page.evaluate(LISTEN)
    await client.request("presence.watch", employee_ids=[2])
    await client.request("queue.watch", queues=["sales"], agents=True)
    await client.request("unread.get")
    await watches(visit)
    assert await client.page.evaluate("events") == []

    visit = await come_back(client, fake, visit)
    await client.request("unread.get")
    assert [kind for kind, _ in await watches(visit)] == ["presence.watch", "queue.watch"]

    await client.until("events.length >= 3")
    assert await client.page.evaluate("events") == [
        {"type": "presence.changed", "presences": [{"employee_id": 2}], "degraded": False},
        {"type": "queue.changed", "queues": [{"queue": "sales"}]},
        {"type": "agent.state_changed", "agent": {"employee_id": 7}},
    ]


async def test_a_refused_watch_ends_or_is_repeated(client: Client, fake: FakeGateway) -> None:
    """A temporary refusal is repeated after retry_after; any other one is queue.unwatched."""
    visit = await arrive(client, fake)
    await client.page.evaluate(LISTEN)
    await client.request("queue.watch", queues=["sales"])
    await client.request("unread.get")
    await watches(visit)

    visit = await come_back(client, fake, visit)
    first = await visit.expect("queue.watch")
    busy = {"code": "database.unavailable", "message": "Later.", "retry_after": 2}
    await visit.send({"id": first["id"], "error": busy}, {"type": "ping"})
    await visit.expect("pong")
    await client.page.clock.run_for(2_001)
    again = await visit.expect("queue.watch")
    assert again["queues"] == ["sales"]
    await visit.send({"id": again["id"], "error": {"code": "permission.denied", "message": "No."}})
    await client.until("events.length >= 1")
    assert await client.page.evaluate("events") == [{"type": "queue.unwatched"}]

    visit = await come_back(client, fake, visit)
    await client.request("unread.get")
    assert await watches(visit) == []
