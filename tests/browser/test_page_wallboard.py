"""The page's wallboard: for whoever may see statistics, above the recent calls."""

from __future__ import annotations

import uuid

import pytest
from playwright.async_api import expect

from tests.browser.pbx import post
from tests.browser.window import Open, PageGateway
from tests.support.desk import DIRECTOR

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AGENT = 2


async def test_the_wallboard_shows_who_waits_and_what_agents_do(
    window: Open, dev_gateway: PageGateway
) -> None:
    """A caller comes and goes, an agent pauses; an agent's own page has no wallboard."""
    queue, call = f"desk {uuid.uuid4().hex[:6]}", uuid.uuid4().hex
    at_desk = {"extension": "103", "queue": queue}
    await post(dev_gateway, {"type": "agent.login", **at_desk})
    director, agent = await window(DIRECTOR), await window(AGENT, worker=1)

    await director.by("tab-calls").click()
    await agent.by("tab-calls").click()
    block = director.page.locator(f"[data-queue='{queue}']")
    await expect(block.get_by_test_id("wall-waiting")).to_have_text("0 waiting")
    await expect(block.get_by_test_id("wall-counts")).to_have_text("1 free")
    await post(
        dev_gateway,
        {"type": "call.started", "call_key": call, "leg_key": call},
        {"type": "queue.entered", "call_key": call, "leg_key": call, "queue": queue},
        {"type": "agent.paused", **at_desk, "attrs": {"reason": "lunch"}},
    )

    await expect(block.get_by_test_id("wall-waiting")).to_have_text("1 waiting")
    await expect(block.get_by_test_id("wall-counts")).to_have_text("1 paused")
    line = director.page.locator("[data-testid=wall-agent][data-employee-id='3']")
    await expect(line).to_contain_text("Paused: lunch")
    await expect(line).not_to_contain_text("Employee")
    await expect(agent.by("wallboard")).to_be_hidden()
    await post(
        dev_gateway,
        {"type": "leg.ended", "call_key": call, "leg_key": call},
        {"type": "agent.logoff", **at_desk},
    )
    await expect(block.get_by_test_id("wall-waiting")).to_have_text("0 waiting")
    await expect(block).to_contain_text("Today 0 of 1 answered")
