"""web/sdk/client.js in a real browser: requests, also when the connection breaks."""

from __future__ import annotations

import pytest

from tests.browser.client import Client, arrive
from tests.browser.fake_gateway import FakeGateway, message

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.slow
async def test_a_refusal_rejects_with_what_was_said(client: Client, fake: FakeGateway) -> None:
    """Code, path and retry_after reach whoever asked."""
    visit = await arrive(client, fake)
    await client.request("message.send", conversation_id=17, client_key="k", text="hi")
    asked = await visit.expect("message.send")

    await visit.send(
        {"id": asked["id"], "error": {"code": "limit.too_fast", "message": "!", "retry_after": 0.4}}
    )

    said = await client.answer()
    assert (said["code"], said["path"], said["retryAfter"]) == ("limit.too_fast", None, 0.4)


async def test_a_message_in_flight_is_sent_again_with_its_key(
    client: Client, fake: FakeGateway
) -> None:
    """Whether the first one arrived is unknown; the key makes the second one harmless."""
    visit = await arrive(client, fake)
    await client.request("message.send", conversation_id=17, client_key="k1", text="hi")
    await visit.expect("message.send")
    await visit.close(1011)

    visit = await fake.visit()
    await visit.welcome()
    again = await visit.expect("message.send")
    await visit.send({"id": again["id"], "ok": {"message": message(1, change=2)}})

    assert again["client_key"] == "k1"
    assert (await client.answer())["ok"]["message"]["seq"] == 1


async def test_what_may_not_be_repeated_is_reported_lost(client: Client, fake: FakeGateway) -> None:
    """A group whose making is uncertain is not made twice."""
    visit = await arrive(client, fake)
    await client.request("conversation.create", title="x", employee_ids=[2])
    await visit.expect("conversation.create")

    await visit.close(1011)

    assert (await client.answer())["code"] == "connection.lost"


@pytest.mark.slow
async def test_what_only_reads_is_sent_again(client: Client, fake: FakeGateway) -> None:
    """Whatever was lost with the connection, reading twice does no harm."""
    reads = ("conversation.get", "receipt.readers", "callback.list", "attachment.get")
    visit = await arrive(client, fake)
    for name in reads:
        await client.request(name)
        await visit.expect(name)
    await visit.close(1011)

    visit = await fake.visit()
    await visit.welcome()
    for name in reads:
        again = await visit.expect(name)
        await visit.send({"id": again["id"], "ok": {"name": name}})
        assert (await client.answer())["ok"] == {"name": name}


@pytest.mark.slow
async def test_requests_made_while_away_wait_for_the_connection(
    client: Client, fake: FakeGateway
) -> None:
    """They are sent after the welcome, in their order; typing is not worth waiting."""
    await client.connect()
    visit = await fake.visit()
    await client.request("unread.get")
    await client.request("typing.start", conversation_id=17)
    await client.request("call.list")
    assert (await client.answer())["code"] == "connection.lost"

    await visit.welcome()

    first, second = await visit.expect("unread.get"), await visit.expect("call.list")
    assert first["id"] < second["id"]


@pytest.mark.slow
async def test_waiting_requests_are_bounded(client: Client, fake: FakeGateway) -> None:
    """The 501st request that waits for a connection is refused at once."""
    await client.connect()
    await fake.visit()

    code = await client.page.evaluate(
        """async () => {
          for (let n = 0; n < 500; n += 1) gateway.request('unread.get').catch(() => {});
          return gateway.request('unread.get').catch((error) => error.code);
        }"""
    )

    assert code == "request.too_many"
