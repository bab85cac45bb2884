"""The page's list of events of the CRM that name me."""

from __future__ import annotations

import asyncpg
import pytest
from playwright.async_api import expect

from tests.browser.window import Open, PageGateway
from tests.support.event_tools import publish

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PETRO, IRYNA = 2, 3
MARKUP = "<img src=x onerror=\"document.title='x'\"><b>bold</b>"


async def test_events_that_name_me_are_listed_as_text(
    window: Open, dev_gateway: PageGateway
) -> None:
    """Newest first, with a link where the CRM has a page; markup and scripts are never run."""
    petro, iryna = await window(PETRO), await window(IRYNA, worker=1)
    database = await asyncpg.connect(dev_gateway.database)
    title = await petro.page.title()
    try:
        for payload in (
            {"title": "Work order 1234", "url": "https://crm.example.com/work-orders/1234"},
            {"title": MARKUP, "url": "javascript:document.title='x'"},
            {"title": 7, "url": {"a": 1}},
        ):
            await publish(database, "work_order.assigned", users=[PETRO], payload=payload)
    finally:
        await database.close()

    await expect(petro.by("unseen-events")).to_have_text("3")
    await petro.by("tab-events").click()
    await expect(petro.by("unseen-events")).to_be_hidden()
    titles = petro.by("work-event-title")
    await expect(titles).to_have_text(["work_order.assigned", MARKUP, "Work order 1234"])
    links = [await titles.nth(place).get_attribute("href") for place in range(3)]
    assert links == [None, None, "https://crm.example.com/work-orders/1234"]
    assert await titles.nth(2).get_attribute("rel") == "noopener noreferrer"
    assert await petro.page.title() == title
    await iryna.by("tab-events").click()
    await expect(iryna.by("work-event")).to_have_count(0)


async def test_arrow_keys_go_through_the_tabs(window: Open) -> None:
    """Round and round, in both directions."""
    petro = await window(PETRO)
    await petro.by("tab-chats").focus()
    for key, chosen in (
        ("ArrowRight", "tab-calls"), ("ArrowRight", "tab-events"), ("ArrowRight", "tab-chats"),
        ("ArrowLeft", "tab-events"), ("ArrowLeft", "tab-calls"),
    ):  # fmt: skip
        await petro.page.keyboard.press(key)
        await expect(petro.by(chosen)).to_have_attribute("aria-selected", "true")
