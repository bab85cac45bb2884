"""A headless Chromium for the tests in this folder, one for all of them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.client import Client
from tests.browser.fake_gateway import FakeGateway
from tests.browser.window import Open, PageGateway, Window

expect.set_options(timeout=60_000)  # 5 s are not enough where others keep the machine busy

ARGS = [
    "--no-sandbox",  # tests may run as root in a container
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium or google-chrome on PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def fake() -> AsyncIterator[FakeGateway]:
    """Give a gateway that says what the test tells it to."""
    async with FakeGateway.running() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client_page(chromium: Browser) -> Page:
    """Give the page whose clock the tests move: each starts it at an origin of its own."""
    page = await (await chromium.new_context()).new_page()
    await page.clock.install()
    return page


@pytest_asyncio.fixture(loop_scope="session")
async def client(client_page: Page, fake: FakeGateway) -> AsyncIterator[Client]:
    """Give a page with web/sdk/client.js, whose clock the test may move; it may report no error."""
    await client_page.goto(fake.url)
    made = Client(client_page)
    yield made
    await made.leave(f"{fake.url}over")
    assert made.problems == []


@pytest.fixture(scope="session")
def free_windows() -> list[Window]:
    """Give those that no test uses now."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def window(
    chromium: Browser, dev_gateway: PageGateway, free_windows: list[Window]
) -> AsyncIterator[Open]:
    """Give a function that opens windows: employee, worker. None may have reported an error."""
    opened: list[Window] = []

    async def open_window(employee_id: int, *, worker: int = 0) -> Window:
        made = free_windows.pop() if free_windows else await Window.open(chromium)
        opened.append(made)
        url = dev_gateway.worker_urls[worker]
        await made.renew(url)
        await made.sign_in(url, dev_gateway.token(employee_id))
        return made

    yield open_window
    problems = [problem for one in opened for problem in one.problems]
    for one in opened:
        await one.renew(dev_gateway.url)  # its page does nothing between tests
    free_windows += opened
    assert problems == []
