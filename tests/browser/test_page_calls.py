"""The page's calls, where they are larger than what is sent of them."""

from __future__ import annotations

import uuid

import pytest
from playwright.async_api import expect

from tests.browser.pbx import post
from tests.browser.window import Open, PageGateway

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AGENT_202 = 7
SHOWN = 50
"""Legs of a call that are sent."""


async def test_a_call_says_what_of_it_is_not_shown(window: Open, dev_gateway: PageGateway) -> None:
    """The card and the list count the legs that are not sent, the caller's is one; else nothing."""
    agent = await window(AGENT_202)
    small, large = uuid.uuid4().hex, uuid.uuid4().hex

    for call, legs in ((small, 1), (large, SHOWN + 7)):
        await post(
            dev_gateway,
            {"type": "call.started", "call_key": call, "leg_key": call},
            *(
                {"type": "leg.ringing", "call_key": call, "leg_key": f"{call}{number:03}",
                 "extension": "202"}
                for number in range(legs)
            ),
        )  # fmt: skip

    cards = agent.by("call-card")
    await expect(cards).to_have_count(2)
    said = cards.get_by_test_id("call-left-out")
    await expect(said.filter(has_text="more")).to_have_text("and 8 more legs")
    await expect(said.filter(has_not_text="more")).to_have_text("")
    for call in (small, large):
        await post(dev_gateway, {"type": "call.ended", "call_key": call})
    await agent.by("tab-calls").click()
    listed = agent.by("recent-call")
    await expect(listed.filter(has_text="more legs")).to_have_count(1)
