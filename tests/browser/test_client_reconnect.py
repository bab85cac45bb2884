"""web/sdk/client.js in a real browser: how connections end, and when the client comes back."""

from __future__ import annotations

import pytest

from tests.browser.client import Client, arrive
from tests.browser.fake_gateway import FakeGateway, conversation, created

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.cases(1)
@pytest.mark.parametrize("code", [4001, 4011, 4199])
async def test_a_close_for_good_stops_the_client(
    client: Client, fake: FakeGateway, code: int
) -> None:
    """Codes from 4000 to 4199, also unknown ones, mean: do not come back."""
    visit = await arrive(client, fake)
    await client.request("unread.get")
    await visit.expect("unread.get")

    await visit.close(code)

    assert await client.until("gateway.state.name === 'stopped' && gateway.state.code") == code
    assert (await client.answer())["code"] == "connection.closed"
    await client.page.clock.run_for(120_000)
    assert fake.visits.empty()


async def test_an_expired_token_is_replaced_before_coming_back(
    client: Client, fake: FakeGateway
) -> None:
    """Codes from 4200 to 4399 ask for a new token first."""
    await client.connect("old", "new")
    visit = await fake.visit()
    assert (await visit.welcome())["token"] == "old"

    await visit.close(4201)

    assert (await (await fake.visit()).welcome())["token"] == "new"
    assert await client.page.evaluate("asked") == [False, True]


@pytest.mark.slow
async def test_without_a_newer_token_it_stays_away(client: Client, fake: FakeGateway) -> None:
    """The same token again would be refused again, for ever."""
    visit = await arrive(client, fake)

    await visit.close(4201)

    await client.until("gateway.state.name === 'stopped' && gateway.state.code === 4201")


@pytest.mark.slow
async def test_a_refused_hello_stops_even_when_the_close_is_lost(
    client: Client, fake: FakeGateway
) -> None:
    """The error says what the close code would have said."""
    await client.connect()
    visit = await fake.visit()
    hello = await visit.expect("hello")
    await visit.send({"id": hello["id"], "error": {"code": "token.invalid", "message": "No."}})

    await client.page.clock.run_for(4_000)

    await client.until("gateway.state.name === 'stopped' && gateway.state.code === 4001")


async def test_a_hello_that_failed_for_a_moment_is_tried_again(
    client: Client, fake: FakeGateway
) -> None:
    """A refusal with retry_after is temporary: the client waits that long."""
    await client.connect()
    visit = await fake.visit()
    hello = await visit.expect("hello")
    error = {"code": "database.unavailable", "message": "!", "retry_after": 20.0}
    await visit.send({"id": hello["id"], "error": error})

    wait = "gateway.state.name === 'waiting' && gateway.state.retryAt - Date.now()"
    assert 15_000 < await client.until(wait) <= 40_000
    await client.wait_for_retry()
    await (await fake.visit()).welcome()


@pytest.mark.slow
async def test_a_hello_that_is_put_off_is_said_again_on_the_same_connection(
    client: Client, fake: FakeGateway
) -> None:
    """`overloaded` names a time; until then the connection is kept, beyond the time for hello."""
    await client.connect()
    visit = await fake.visit()
    hello = await visit.expect("hello")
    await client.page.evaluate("void gateway.on('refused', (error) => (window.refused = error))")
    error = {"code": "overloaded", "message": "!", "retry_after": 20.0}
    await visit.send({"id": hello["id"], "error": error})
    await client.until("window.refused")
    await client.page.clock.run_for(19_000)
    assert await client.page.evaluate("gateway.state.name") == "connecting"

    await client.page.clock.run_for(1_001)

    again = await visit.welcome()
    assert again["id"] != hello["id"]
    await client.until("gateway.state.name === 'live'")
    assert fake.visits.empty()


@pytest.mark.slow
async def test_a_bye_says_when_to_come_back(client: Client, fake: FakeGateway) -> None:
    """The client returns within the window, also when the close frame itself is lost."""
    visit = await arrive(client, fake)
    bye = {"type": "bye", "code": 4601, "reason": "drain", "resume": True}
    await visit.send({**bye, "retry_in": [30_000, 40_000]})
    visit.socket.transport.abort()

    waits = "gateway.state.name === 'waiting' && gateway.state.retryAt - Date.now()"
    assert 25_000 < await client.until(waits) <= 40_000
    assert await client.page.evaluate("gateway.state.code") == 4601
    await client.wait_for_retry()
    await (await fake.visit()).welcome()


@pytest.mark.slow
async def test_a_bye_without_resume_is_for_good(client: Client, fake: FakeGateway) -> None:
    """`resume: false` stops whatever the code says."""
    visit = await arrive(client, fake)

    await visit.send(
        {"type": "bye", "code": 4601, "reason": "x", "resume": False, "retry_in": None}
    )
    await visit.close(4601)

    await client.until("gateway.state.name === 'stopped'")


async def test_back_off_doubles_to_half_a_minute_with_full_jitter(client: Client) -> None:
    """The longest wait doubles from 0.5 s to 30 s; the shortest is none at all."""
    script = """async ([chance, verdict]) => {
      const { Backoff } = await import('/web/sdk/backoff.js');
      Math.random = () => chance;
      const backoff = new Backoff();
      return Array.from({ length: 8 }, () => backoff.next(verdict));
    }"""

    longest = await client.page.evaluate(script, [1, "back_off"])
    shortest = await client.page.evaluate(script, [0, "back_off"])
    at_once = await client.page.evaluate(script, [1, "now"])

    assert longest == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
    assert shortest == [0] * 8
    assert at_once == [500, 500, 500, 4_000, 8_000, 16_000, 30_000, 30_000]


@pytest.mark.slow
async def test_a_ping_is_answered(client: Client, fake: FakeGateway) -> None:
    """The server's ping gets a pong."""
    visit = await arrive(client, fake)

    await visit.send({"type": "ping"})

    assert await visit.expect("pong") == {"type": "pong"}


async def test_silence_means_a_new_connection(client: Client, fake: FakeGateway) -> None:
    """Nothing for 1.5 ping intervals and 10 s: the connection is given up, and resumed."""
    began = await client.page.evaluate("Date.now()")
    visit = await arrive(client, fake, conversations=[conversation(17, seq=5, change=6)])
    states = "void gateway.on('state', () => (window.gaveUpAt ??= Date.now()))"
    await client.page.evaluate(states)
    await client.page.clock.run_for(40_000)  # it goes on by itself, too
    while not await client.page.evaluate("window.gaveUpAt"):
        await client.page.clock.run_for(500)

    assert await client.page.evaluate("window.gaveUpAt") - began >= 47_500
    await client.wait_for_retry()
    hello = await (await fake.visit()).welcome()
    assert hello["resume"] == {"17": 6}
    await visit.socket.wait_closed()


@pytest.mark.slow
async def test_a_change_of_network_is_looked_into(client: Client, fake: FakeGateway) -> None:
    """When the browser says the network changed, a dead connection is found within 5 s."""
    visit = await arrive(client, fake)
    await client.page.evaluate("dispatchEvent(new Event('offline'))")
    await visit.expect("ping")
    await visit.send({"type": "pong"})
    await client.request("unread.get")
    await visit.expect("unread.get")
    await client.page.clock.run_for(5_000)
    assert await client.page.evaluate("gateway.state.name") == "live"

    await client.page.evaluate("dispatchEvent(new Event('offline'))")
    await visit.expect("ping")
    await client.page.clock.run_for(6_000)

    await (await fake.visit()).welcome()


@pytest.mark.slow
async def test_an_expiring_token_is_swapped_without_a_reconnect(
    client: Client, fake: FakeGateway
) -> None:
    """The client gets a new token and says so on the same connection."""
    await client.connect("old", "new")
    visit = await fake.visit()
    await visit.welcome()

    await visit.send({"type": "token.expiring", "expires_at": "2026-01-01T00:00:00Z"})

    assert (await visit.expect("token.refresh"))["token"] == "new"


@pytest.mark.slow
async def test_an_empty_token_is_not_sent(client: Client, fake: FakeGateway) -> None:
    """What should have made it made nothing: that is said, and nobody is asked."""
    await client.connect("")

    assert await client.until("gateway.state.name === 'stopped' && gateway.state.code") == 4001
    assert "The token is empty" in await client.until("gateway.state.reason")
    assert fake.visits.empty()


@pytest.mark.slow
async def test_a_listener_that_fails_costs_nothing(client: Client, fake: FakeGateway) -> None:
    """Its error is reported by the browser; the connection and other listeners go on."""
    visit = await arrive(client, fake)
    await client.page.evaluate(
        """() => {
          window.reported = [];
          addEventListener('error', (event) => {
            event.preventDefault();
            reported.push(event.message);
          });
          gateway.on('message.created', () => { throw new Error('mine'); });
        }"""
    )

    await visit.send(created(1, change=2), created(2, change=3))

    assert len(await client.events(2)) == 2
    await client.until("reported.length === 2 && reported[0].includes('mine')")
    client.problems.clear()
