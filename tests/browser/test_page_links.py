"""Links that sign a window in which somebody is signed in already."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.window import PageGateway, Window

TOKEN = "sessionStorage.getItem('gateway.token')"


@pytest.mark.slow
async def test_a_link_replaces_nobodys_session_unasked(
    chromium: Browser, dev_gateway: PageGateway
) -> None:
    """Another person's link, opened anew or in the window itself, asks; staying changes nothing."""
    one = await Window.open(chromium)
    mine, others = dev_gateway.token(2), dev_gateway.token(3)
    await one.sign_in(dev_gateway.url, mine)
    name = await one.name()

    await one.page.goto("about:blank")
    await one.page.goto(f"{dev_gateway.url}/#token={others}")
    await expect(one.by("change-person-question")).to_contain_text("employee 3")
    assert "token" not in one.page.url
    assert await one.page.evaluate(TOKEN) == mine
    await one.by("stay").click()
    await one.live()
    assert (await one.name(), await one.page.evaluate(TOKEN)) == (name, mine)

    for link in (f"#token={others}", "#token=forged"):
        await one.page.evaluate(f"location.hash = '{link}'")
        await one.by("stay").click()
        await one.live()
        assert (await one.name(), await one.page.evaluate(TOKEN)) == (name, mine)

    await one.page.evaluate(f"location.hash = '#token={others}'")
    await one.by("change-person").click()
    await one.live()
    assert await one.name() != name
    assert await one.page.evaluate(TOKEN) == others
    assert one.problems == []
    await one.close()


@pytest.mark.slow
async def test_a_newer_token_of_the_same_person_is_taken(
    chromium: Browser, dev_gateway: PageGateway
) -> None:
    """A CRM may open its link again: nothing is asked."""
    one = await Window.open(chromium)
    await one.sign_in(dev_gateway.url, dev_gateway.token(2))
    name, newer = await one.name(), dev_gateway.token(2)

    await one.page.goto("about:blank")
    await one.sign_in(dev_gateway.url, newer)

    assert (await one.name(), await one.page.evaluate(TOKEN)) == (name, newer)
    await one.close()
