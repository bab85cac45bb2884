"""The page's calls, where they are larger than what is sent of them."""

from __future__ import annotations

import uuid

import asyncpg
import pytest
from playwright.async_api import expect

from tests.browser.pbx import post
from tests.browser.window import Open, PageGateway

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AGENT_202 = 7
AGENT_203 = 8
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


ADDRESSES = {
    1: "https://crm.example.com/clients/<1>?a='\"&b",
    2: "javascript:document.title='x'",
    3: "JaVaScRiPt://crm.example.com/%0Adocument.title='x'",
    4: " data:text/html,<script>document.title='x'</script>",
    5: "clients/5",
    6: "//crm.example.com/clients/6",
}
"""Customer of the demo → the address that the CRM has for them."""
NUMBERS = ("+380671234567", "+380441234567", "+380501112233", "+380671112233", "+380931234567",
           "+380681234567")  # fmt: skip


async def test_a_card_links_to_the_web_and_to_nothing_else(
    window: Open, dev_gateway: PageGateway
) -> None:
    """A name and a title that look like HTML are text; another kind of address is no link."""
    database = await asyncpg.connect(dev_gateway.database)
    customers = await database.fetchval("SELECT pg_get_viewdef('crm.customers')")
    work = await database.fetchval("SELECT pg_get_viewdef('crm.open_work')")
    urls = " ".join(f"WHEN {n} THEN $url${url}$url$" for n, url in ADDRESSES.items())
    await database.execute(
        f"""
        CREATE OR REPLACE VIEW crm.customers AS
        SELECT c.*, CASE c.id {urls} END AS url FROM ({customers.rstrip(";")}) AS c;
        DROP VIEW crm.open_work;
        CREATE VIEW crm.open_work AS
        SELECT w.*, '<b>Deal</b>' AS label, 'clx' || id AS external_id,
               CASE w.customer_id {urls} END AS url
          FROM ({work.rstrip(";")}) AS w
        """
    )
    try:
        agent = await window(AGENT_203)
        calls: list[str] = []
        for number in NUMBERS:
            call = uuid.uuid4().hex
            await post(
                dev_gateway,
                {"type": "call.started", "call_key": call, "leg_key": call,
                 "attrs": {"number": number}},
                {"type": "leg.ringing", "call_key": call, "leg_key": f"{call}1",
                 "extension": "203"},
            )  # fmt: skip
            calls.append(call)

        names = agent.by("call-card").get_by_test_id("call-customer")
        await expect(names).to_have_count(len(NUMBERS))
        linked = agent.by("call-card").locator("h3 a[href]")
        await expect(linked).to_have_count(1)
        await expect(linked).to_have_text("Ivan Petrenko")
        address = str(await linked.get_attribute("href"))
        assert address.startswith("https://crm.example.com/clients/")
        assert await linked.get_attribute("rel") == "noopener noreferrer"
        shown = agent.by("call-card").get_by_test_id("work-title")
        await expect(shown.first).to_contain_text("<b>Deal</b> clx")
        links = agent.by("call-card").locator("[data-testid=work-title][href]")
        for place in range(await links.count()):
            link = str(await links.nth(place).get_attribute("href"))
            assert link.startswith("https://crm.example.com/")
        assert await agent.by("call-card").locator("b").count() == 0
        for call in calls:
            await post(dev_gateway, {"type": "call.ended", "call_key": call})
    finally:
        await database.execute(
            f"""
            DROP VIEW crm.customers, crm.open_work;
            CREATE VIEW crm.customers AS {customers};
            CREATE VIEW crm.open_work AS {work}
            """
        )
        await database.close()
