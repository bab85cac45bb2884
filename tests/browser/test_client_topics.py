"""web/sdk/client.js in a real browser: topics are added up, and watched again; events come once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.browser.client import Client, arrive
from tests.browser.fake_gateway import FakeGateway, Visit
from tests.browser.test_client_watches import come_back

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TOPICS = [f"crm:lead:{n}" for n in range(4)]
FORBIDDEN = "crm:lead:3"
LISTEN = """() => {
  for (const type of ['topic.unwatched', 'event.published']) {
    gateway.on(type, (event) => events.push(event));
  }
}"""


async def serve(visit: Visit, watched: set[str], *, forbidden: set[str] | None = None) -> None:
    """Serve watches of topics, as a node does, until the next unread.get."""
    while True:
        frame = await visit.receive()
        if frame["type"] == "unread.get":
            await visit.send({"id": frame["id"], "ok": {}})
            return
        if frame["type"] not in {"topic.watch", "topic.unwatch"}:
            continue
        asked = frame["topics"]
        refused = [one for one in asked if one in (forbidden or set())]
        reply: dict[str, Any] = {"ok": {}}
        if frame["type"] == "topic.unwatch":
            watched.difference_update(asked)
        elif len(refused) == len(asked):
            reply = {"error": {"code": "topic.not_found", "message": "No."}}
        else:
            watched.update(set(asked) - set(refused))
            reply = {"ok": {"topics": sorted(watched), "refused": refused}}
        await visit.send({"id": frame["id"], **reply})


@pytest.mark.cases(1)
@pytest.mark.parametrize("seed", range(6))
async def test_all_topics_are_watched_again(client: Client, fake: FakeGateway, seed: int) -> None:
    """Watched and unwatched in any order, some while offline: a node has what the page has."""
    rng = random.Random(seed)
    wanted: set[str] = set()

    async def request() -> None:
        some = rng.sample(TOPICS, rng.randint(1, 3))
        if rng.random() < 0.6:
            wanted.update(set(some) - {FORBIDDEN})
            await client.request("topic.watch", topics=some)
        else:
            wanted.difference_update(some)
            await client.request("topic.unwatch", topics=some)

    visit = await arrive(client, fake)
    for _ in range(3):
        watched: set[str] = set()
        for _ in range(rng.randint(0, 3)):
            await request()
        await client.request("unread.get")
        await serve(visit, watched, forbidden={FORBIDDEN})
        assert watched == wanted
        await visit.drain()
        await client.until("gateway.state.name === 'waiting'")
        for _ in range(rng.randint(0, 2)):
            await request()
        await client.wait_for_retry()
        visit = await fake.welcomed()
        await client.until("gateway.state.name === 'live'")


async def test_topics_that_are_lost_meanwhile_are_named(client: Client, fake: FakeGateway) -> None:
    """In the reply to the repeated watch, all at once, or by the gateway; they are not repeated."""
    visit, watched = await arrive(client, fake), set[str]()
    await client.page.evaluate(LISTEN)
    await client.request("topic.watch", topics=TOPICS)
    await client.request("unread.get")
    await serve(visit, watched)

    visit, watched = await come_back(client, fake, visit), set()
    await client.request("unread.get")
    await serve(visit, watched, forbidden={FORBIDDEN})
    await visit.send({"type": "topic.unwatched", "topics": TOPICS[:1]})
    await client.until("events.length >= 2")

    visit = await come_back(client, fake, visit)
    first = await visit.expect("topic.watch")
    busy = {"code": "contract.unavailable", "message": "Later.", "retry_after": 2}
    await visit.send({"id": first["id"], "error": busy}, {"type": "ping"})
    await visit.expect("pong")
    await client.page.clock.run_for(2_001)
    again = await visit.expect("topic.watch")
    assert first["topics"] == again["topics"] == TOPICS[1:3]
    await visit.send({"id": again["id"], "error": {"code": "topic.not_found", "message": "No."}})
    await client.until("events.length >= 3")

    assert await client.page.evaluate("events") == [
        {"type": "topic.unwatched", "topics": [FORBIDDEN]},
        {"type": "topic.unwatched", "topics": TOPICS[:1]},
        {"type": "topic.unwatched", "topics": TOPICS[1:3]},
    ]
    visit, watched = await come_back(client, fake, visit), set()
    await client.request("unread.get")
    await serve(visit, watched)
    assert watched == set()


async def test_an_event_that_comes_again_is_given_out_once(
    client: Client, fake: FakeGateway
) -> None:
    """As after a reconnection to a node that is a little behind."""
    visit = await arrive(client, fake)
    await client.page.evaluate(LISTEN)
    for number in (1, 2, 1, 3, 2):
        await visit.send({"type": "event.published", "event": {"id": number}, "topics": []})

    await client.until("events.length >= 3")
    assert await client.page.evaluate("events.map(({ event }) => event.id)") == [1, 2, 3]
