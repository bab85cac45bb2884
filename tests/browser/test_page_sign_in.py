"""Signing in with an identity provider, in a real browser: another site leads back to the page."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, expect

from gateway.auth.oidc import browser_sessions
from tests.browser.window import Window
from tests.fakes.provider import FakeProvider
from tests.support.desk import OKSANA, PETRO, Desk
from tests.support.signing_in import settings_for, subject_of

TOKEN = "sessionStorage.getItem('gateway.token')"
NEXT_TOKEN = """
    import('/state/credentials.js').then((credentials) => credentials.token({ refresh: true }))
      .then(() => 'given', (error) => error.code)
"""
"""What the SDK asks for before a token ends."""


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(person=subject_of(OKSANA)) as provider:
        yield provider


@pytest.fixture
async def page_url(empty_desk: Desk, provider: FakeProvider) -> str:
    """Give the page's address. For a browser, localhost is another site than 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://localhost:{port}"
    await empty_desk.start_node(port=port, **settings_for(provider, public_url=url))
    return url


def button(window: Window) -> Locator:
    return window.by("sign-in-provider")


@pytest.mark.slow
async def test_windows_of_a_browser_share_a_sign_in(
    chromium: Browser,
    page_url: str,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In at one, in at all, each with new tokens in time; out at one, out at all."""
    monkeypatch.setattr(browser_sessions, "TOKEN_S", 62)  # 2 s until the page gets the next one
    one = await Window.open(chromium)
    await one.page.goto(f"{page_url}/#/conversations/7")
    await button(one).click()
    await one.live()
    assert one.page.url == f"{page_url}/#/conversations/7"
    assert await one.name()

    other = Window(one.context, await one.context.new_page())
    await other.page.goto(page_url)
    await other.live()
    assert await other.name() == await one.name()
    assert "crm-gateway-session" not in await one.page.evaluate("document.cookie")

    first = await one.page.evaluate(TOKEN)
    await one.page.wait_for_function(f"first => {TOKEN} !== first", arg=first, timeout=60_000)
    await one.live()
    assert provider.asked["/token"] == 1

    await one.page.get_by_role("button", name="Sign out").click()
    await expect(button(one)).to_be_visible()
    await expect(button(other)).to_be_visible()
    assert provider.asked["/end"] == 1
    await one.context.close()


@pytest.mark.slow
async def test_a_window_never_becomes_somebody_elses(
    chromium: Browser, page_url: str, provider: FakeProvider
) -> None:
    """When another person signs in beside it, it gets no next token: that would be theirs."""
    one = await Window.open(chromium)
    await one.page.goto(page_url)
    await button(one).click()
    await one.live()
    mine = await one.page.evaluate(TOKEN)

    provider.person = subject_of(PETRO)
    other = Window(one.context, await one.context.new_page())
    await other.page.goto(f"{page_url}/v1/sign-in")
    await other.live()
    assert await other.name() != await one.name()

    assert await one.page.evaluate(NEXT_TOKEN) == "token.none"
    assert await other.page.evaluate(NEXT_TOKEN) == "given"
    assert await one.page.evaluate(TOKEN) == mine
    await one.context.close()


@pytest.mark.slow
async def test_a_refusal_is_a_page_that_leads_on(
    chromium: Browser, page_url: str, provider: FakeProvider
) -> None:
    """With a code for the administrator, and a link that begins again at the same place."""
    provider.refuses = "access_denied"
    one = await Window.open(chromium)
    await one.page.goto(f"{page_url}/#/conversations/7")
    await button(one).click()
    await expect(one.page.get_by_role("alert")).to_contain_text("refused")
    await expect(one.page.get_by_text("sign_in.refused")).to_be_visible()

    provider.refuses = None
    await one.page.get_by_role("link", name="Try again").click()

    await one.live()
    assert one.page.url == f"{page_url}/#/conversations/7"
    await one.context.close()
