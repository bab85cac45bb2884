"""web/state/idle.js and web/sdk/client.js: an idle or hidden window reports that it is away."""

from __future__ import annotations

import pytest

from tests.browser.client import Client
from tests.browser.fake_gateway import FakeGateway

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ATTEND = """async () => {
  const { watchIdle } = await import('/web/state/idle.js');
  watchIdle((away) => gateway.away(away));
}"""
TURN = """(hidden) => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


@pytest.mark.slow
async def test_a_window_in_which_nobody_does_anything_is_away(
    client: Client, fake: FakeGateway
) -> None:
    """After five minutes; the next deed takes it back, and nothing is told twice."""
    await client.connect()
    visit = await fake.visit()
    await visit.welcome(ping_s=10_000)  # the clock runs while nobody pings
    await client.page.evaluate(ATTEND)
    await client.page.clock.run_for(240_000)
    await client.page.keyboard.press("Shift")
    await client.page.clock.run_for(240_000)
    await client.page.clock.run_for(70_000)

    assert (await visit.expect("presence.away"))["away"] is True
    await client.page.keyboard.press("Shift")
    assert (await visit.expect("presence.away"))["away"] is False


@pytest.mark.slow
async def test_a_hidden_window_is_away_after_a_minute_and_says_so_when_it_comes_back(
    client: Client, fake: FakeGateway
) -> None:
    """A look at another window is not leaving; the hello of a new connection says it at once."""
    await client.connect()
    visit = await fake.visit()
    first = await visit.welcome(ping_s=10_000)
    await client.page.evaluate(ATTEND)
    await client.page.evaluate(TURN, arg=True)
    await client.page.clock.run_for(50_000)
    await client.page.evaluate(TURN, arg=False)
    await visit.expect("ping")  # shown again, the client makes sure of its connection
    await visit.send({"type": "pong"})
    await client.until("gateway.state.name === 'live'")
    await client.page.evaluate(TURN, arg=True)
    await client.page.clock.run_for(61_000)
    assert (await visit.expect("presence.away"))["away"] is True

    await visit.drain()
    await client.until("gateway.state.name === 'waiting'")
    await client.page.clock.run_for(500)
    second = await (await fake.visit()).welcome()

    assert (first["away"], second["away"]) == (False, True)
