"""One window of a browser with the page in it, and what a test does there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, Self
from uuid import uuid4

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    ViewportSize,
    expect,
)

SIZE: ViewportSize = {"width": 1280, "height": 720}
"""As Playwright's windows are if nothing else is said."""


class PageGateway(Protocol):
    """The running gateway that the fixture `dev_gateway` gives: demo CRM, two workers."""

    url: str
    worker_urls: list[str]
    database: str

    def socket_url(self, worker: int) -> str: ...
    def token(self, employee_id: int) -> str: ...

    def replay(self, name: str) -> object:
        """Play a recorded call into the gateway at its own pace; return when it is over."""


class Window:
    """A window of its own context: nothing is shared with other windows.

    A new one costs the browser a process or two, so that windows are lent: `renew` makes one as
    good as new. The page keeps what it keeps in sessionStorage.
    """

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note_console)

    @classmethod
    async def open(cls, browser: Browser) -> Self:
        context = await browser.new_context(locale="en-GB")
        return cls(context, await context.new_page())

    async def renew(self, url: str) -> None:
        """Forget what an earlier test left here, at the origin of `url`, of a gateway."""
        self.problems.clear()
        await self.context.set_offline(False)
        await self.page.unroute_all()
        await self.page.set_viewport_size(SIZE)
        await self.page.goto(f"{url}/healthz")  # the page there is over, and writes no more
        await self.page.evaluate("sessionStorage.clear()")

    async def sign_in(self, url: str, token: str) -> None:
        await self.page.goto(f"{url}/#token={token}")
        await self.live()

    async def live(self) -> None:
        await expect(self.by("connection-state")).to_have_attribute("data-state", "live")

    async def lost(self) -> None:
        await expect(self.by("connection-state")).not_to_have_attribute("data-state", "live")

    def by(self, testid: str) -> Locator:
        return self.page.get_by_test_id(testid)

    def message(self, text: str) -> Locator:
        return self.by("message").filter(has_text=text)

    def conversation_with(self, name: str) -> Locator:
        """Find it by its title: a group's newest message names people, too."""
        title = self.page.locator(".item-title", has_text=name)
        return self.by("conversation-item").filter(has=title)

    async def name(self) -> str:
        return await self.by("me-name").inner_text()

    async def start_with(self, *employee_ids: int, title: str = "") -> None:
        await self.by("new-conversation").click()
        for employee_id in employee_ids:
            await self.page.locator(
                f"[data-testid=employee-option][data-employee-id='{employee_id}']"
            ).check()
        if title:
            await self.by("group-title").fill(title)
        await self.by("start-conversation").click()
        await expect(self.by("composer")).to_be_visible()

    async def leave_conversation(self) -> None:
        await self.page.evaluate("location.hash = ''")
        await expect(self.by("composer")).to_be_hidden()

    async def send(self, text: str) -> None:
        await self.by("composer").fill(text)
        await self.by("composer").press("Enter")

    async def close(self) -> None:
        await self.context.close()

    def _note_console(self, said: ConsoleMessage) -> None:
        # A lost connection is part of some tests, and the browser reports it by itself.
        expected = "ERR_" in said.text or "WebSocket connection" in said.text
        # A text, such as that at /healthz, cannot say that it has no icon.
        expected |= said.location["url"].endswith("/favicon.ico")
        if said.type == "error" and not expected:
            self.problems.append(said.text)


Open = Callable[..., Awaitable[Window]]


async def pair(window: Open, first: int, second: int) -> tuple[Window, Window]:
    """Two windows on two workers, with a conversation between them open in the first."""
    one, other = await window(first), await window(second, worker=1)
    await one.start_with(second)
    await expect(other.conversation_with(await one.name())).to_be_visible()
    return one, other


def unique(text: str) -> str:
    return f"{text} {uuid4().hex[:8]}"
