"""web/sdk/client.js in a real browser: events in their order, each once, across reconnects."""

from __future__ import annotations

import pytest

from tests.browser.client import Client, arrive
from tests.browser.fake_gateway import FakeGateway, conversation, created

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.slow
async def test_hello_says_how_far_each_conversation_was_taken_in(
    client: Client, fake: FakeGateway
) -> None:
    """After a break the client resumes from the last change it has delivered."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])
    await visit.send(created(6, change=7), created(1, change=2, conversation_id=90))
    await client.events(2)
    await visit.close(4601)

    hello = await (await fake.visit()).welcome()

    assert hello["resume"] == {"17": 7, "90": 2}
    assert hello["device"] == {"id": "window-1", "kind": "web"}


async def test_replays_come_before_live_events_and_nothing_twice(
    client: Client, fake: FakeGateway
) -> None:
    """What was missed is delivered in order, what was seen is dropped."""
    await client.connect(resume={"17": 7})
    visit = await fake.visit()
    await visit.welcome(
        conversations=[conversation(17, seq=8, change=9)],
        changes={"17": [created(6, change=7), created(7, change=8), created(8, change=9)]},
    )
    await visit.send(created(8, change=9), created(9, change=10))

    assert await client.events(3) == [("message.created", 17, change) for change in (8, 9, 10)]


@pytest.mark.slow
async def test_a_conversation_with_too_many_changes_is_to_be_reloaded(
    client: Client, fake: FakeGateway
) -> None:
    """The client is told to fetch it anew, and resumes from where it then stands."""
    await client.connect(resume={"17": 7})
    visit = await fake.visit()
    await visit.welcome(conversations=[conversation(17, seq=900, change=901)], reload=[17])
    assert await client.events(1) == [("reload", 17, None)]
    await visit.send(created(901, change=902))
    await client.events(2)
    await visit.close(4601)

    hello = await (await fake.visit()).welcome()

    assert hello["resume"] == {"17": 902}


async def test_a_replay_that_falls_short_is_noticed(client: Client, fake: FakeGateway) -> None:
    """When the snapshot is further than what was replayed, the conversation is fetched anew."""
    await client.connect(resume={"17": 7})
    await (await fake.visit()).welcome(
        conversations=[conversation(17, seq=9, change=10)], changes={"17": [created(7, change=8)]}
    )

    assert await client.events(2) == [("message.created", 17, 8), ("reload", 17, None)]


async def test_a_gap_is_read_back(client: Client, fake: FakeGateway) -> None:
    """An event that is ahead waits until what is missing has been read."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])
    await visit.send(created(8, change=9))
    asked = await visit.expect("message.changes")
    assert (asked["conversation_id"], asked["after"]) == (17, 6)
    found = [created(seq, change=seq + 1) for seq in (6, 7, 8)]

    await visit.send({"id": asked["id"], "ok": {"events": found, "more": False}})

    assert await client.events(3) == [("message.created", 17, change) for change in (7, 8, 9)]


async def test_two_events_that_swapped_places_are_put_in_order(
    client: Client, fake: FakeGateway
) -> None:
    """The one that came too early is delivered as soon as its turn comes."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])

    await visit.send([created(7, change=8), created(6, change=7)])

    assert await client.events(2) == [("message.created", 17, 7), ("message.created", 17, 8)]


@pytest.mark.slow
async def test_superseded_numbers_are_no_gap(client: Client, fake: FakeGateway) -> None:
    """An edit and reactions are read back too; numbers that nothing holds any more are passed."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])
    await visit.send(created(6, change=10))
    asked = await visit.expect("message.changes")
    edited = created(5, change=8) | {"type": "message.updated"}
    reacted = {"type": "message.reacted", "conversation_id": 17, "change": 9, "seq": 1}

    found = [edited, reacted, created(6, change=10)]
    await visit.send({"id": asked["id"], "ok": {"events": found, "more": False}})
    await visit.send(created(7, change=11))

    assert await client.events(4) == [
        ("message.updated", 17, 8),
        ("message.reacted", 17, 9),
        ("message.created", 17, 10),
        ("message.created", 17, 11),
    ]


@pytest.mark.slow
async def test_a_gap_that_cannot_be_read_back_leads_to_a_reload(
    client: Client, fake: FakeGateway
) -> None:
    """When what was announced is not among the changes, the conversation is fetched anew."""
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])
    await visit.send(created(6, change=9))

    for _ in range(3):
        asked = await visit.expect("message.changes")
        await visit.send({"id": asked["id"], "ok": {"events": [], "more": False}})

    assert await client.events(2) == [("message.created", 17, 9), ("reload", 17, None)]


@pytest.mark.slow
async def test_a_frame_may_be_an_array(client: Client, fake: FakeGateway) -> None:
    """Each object of an array is taken as if it had come alone; unknown types do no harm."""
    visit = await arrive(client, fake)
    typing = {"type": "typing.started", "conversation_id": 17, "employee_id": 2, "expires_ms": 1}

    await visit.send([created(1, change=2), {"type": "news.of_the_future"}, typing])

    assert [event[0] for event in await client.events(2)] == ["message.created", "typing.started"]
