"""What the page says at a glance: title, tabs, header and hints, against a running gateway."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Browser, Page, WebSocketRoute, expect

from tests.browser.window import Open, PageGateway, Window, pair, unique

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AGENT_101 = 1  # whose telephone rings in the recording l01
NARROW = {"width": 420, "height": 800}

# Every state between two paints: mutation observers run after each turn of the page's loop.
WATCH = """() => {
  const shown = (id) => {
    const node = document.querySelector(`[data-testid=${id}]`);
    return node && !node.hidden ? node.textContent : '';
  };
  window.glances = new Set();
  const look = () => {
    const card = document.querySelector('[data-leg=ringing]');
    const faded = card?.getAnimations({ subtree: true }).some(({ effect }) =>
      effect.getKeyframes().some((frame) => frame.opacity !== undefined));
    glances.add(JSON.stringify({
      title: document.title, chats: shown('total-unread'), calls: shown('ringing'), faded: !!faded,
    }));
  };
  look();
  const all = { subtree: true, childList: true, attributes: true, characterData: true };
  new MutationObserver(look).observe(document.documentElement, all);
}"""


async def glances(page: Page) -> list[dict[str, Any]]:
    """Return every title with its badges that was shown since WATCH, each once."""
    found: list[dict[str, Any]] = await page.evaluate("[...glances].map((one) => JSON.parse(one))")
    return found


async def test_messages_that_are_being_read_count_nowhere(window: Open) -> None:
    """What arrives in the open, focused conversation never shows in the title or on the tab."""
    one, other = await pair(window, 4, 6)
    await other.conversation_with(await one.name()).click()
    await expect(other.by("composer")).to_be_visible()
    await other.page.evaluate(WATCH)
    before = await glances(other.page)

    for number in range(3):
        written = unique(f"read at once {number}")
        await one.send(written)
        mark = one.message(written).get_by_test_id("read-mark")
        await expect(mark).to_have_attribute("data-read", "true")

    assert await glances(other.page) == before


async def test_a_ringing_call_is_in_the_title_and_on_the_tab(
    window: Open, dev_gateway: PageGateway
) -> None:
    """While a telephone rings the tab of the browser says who calls; afterwards it does not."""
    agent = await window(AGENT_101)
    await agent.page.evaluate(WATCH)
    (before,) = await glances(agent.page)

    await asyncio.to_thread(dev_gateway.replay, "l01")
    await expect(agent.by("call-outcome").last).to_contain_text("Answered by", timeout=15_000)

    seen = await glances(agent.page)
    ringing = {"title": "☎ Ivan Petrenko calls", "calls": "1", "faded": False}
    assert [one for one in seen if one["calls"]] == [before | ringing]
    await expect(agent.page).to_have_title(before["title"])
    await expect(agent.by("ringing")).to_be_hidden()


async def test_no_calls_is_not_said_when_they_could_not_be_read(
    chromium: Browser, dev_gateway: PageGateway
) -> None:
    """An error stands alone: whether there were calls is unknown."""
    one = await Window.open(chromium)
    await one.page.route_web_socket("**/v1/ws", refuse_call_list)
    await one.sign_in(dev_gateway.url, dev_gateway.token(7))

    await one.by("tab-calls").click()

    await expect(one.page.get_by_text("Calls are away.")).to_be_visible()
    await expect(one.page.get_by_text("No calls yet.")).to_be_hidden()
    await one.close()
    assert one.problems == []


def refuse_call_list(page: WebSocketRoute) -> None:
    """Let everything through to the gateway but call.list."""
    gateway = page.connect_to_server()

    def heard(said: str | bytes) -> None:
        frame = json.loads(said)
        if frame["type"] != "call.list":
            gateway.send(said)
            return
        error = {"code": "internal", "message": "Calls are away."}
        page.send(json.dumps({"id": frame["id"], "error": error}))

    page.on_message(heard)


async def test_the_header_says_offline_at_once(window: Open) -> None:
    """The browser's own word comes seconds before the silence of a dead connection is noticed."""
    one = await window(8)
    state = one.by("connection-state")
    await expect(state).to_have_text("Live")

    await one.context.set_offline(True)
    await expect(state).to_have_text("Offline", timeout=1_000)

    await one.context.set_offline(False)
    await expect(state).to_have_text("Live", timeout=20_000)


async def test_a_narrow_window_keeps_the_header_low(window: Open) -> None:
    """Name and connection share a row, the status text has room for its placeholder."""
    one = await window(9)
    await one.page.set_viewport_size(NARROW)  # type: ignore[arg-type]

    name = await one.by("me-name").bounding_box()
    state = await one.by("connection-state").bounding_box()
    header = await one.page.get_by_role("banner").bounding_box()
    fits = await one.by("presence-text").evaluate("(input) => input.clientWidth >= 160")

    assert name is not None
    assert state is not None
    assert header is not None
    assert abs((name["y"] + name["height"] / 2) - (state["y"] + state["height"] / 2)) < 8
    assert header["height"] < 100
    assert fits


async def test_the_way_back_says_what_is_unread_elsewhere(window: Open) -> None:
    """In a narrow window the list is hidden: its unread messages are counted on the back button."""
    one, other = await pair(window, 10, 11)
    third = await window(12)
    await third.start_with(11, 13, title=unique("Elsewhere"))
    await other.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    await other.conversation_with(await one.name()).first.click()
    elsewhere = other.by("unread-elsewhere")
    before = int(await elsewhere.inner_text() or 0) if await elsewhere.is_visible() else 0

    await third.send(unique("over here"))

    await expect(elsewhere).to_have_text(str(before + 1))
    await other.page.get_by_role("button", name="Back to the list").click()
    await expect(other.by("composer")).to_be_hidden()


async def test_a_long_title_stays_on_one_line(window: Open) -> None:
    """A title of 200 characters makes the conversation neither higher nor wider."""
    one = await window(14)
    title, send = one.by("conversation-title"), one.by("send")
    await one.start_with(15, 16, title=unique("Short"))
    await expect(title).to_contain_text("Short")
    before = [await title.bounding_box(), await send.bounding_box()]

    await one.start_with(15, 16, title=("A very long title " * 20)[:200])
    await expect(title).to_contain_text("A very long title")
    after = [await title.bounding_box(), await send.bounding_box()]

    assert before[0] is not None
    assert after[0] is not None
    assert after[0]["height"] == before[0]["height"]
    assert after[0]["x"] + after[0]["width"] <= 1280
    assert after[1] == before[1]


async def test_an_empty_conversation_says_what_to_do(window: Open) -> None:
    """A hint stands where messages will be, and goes with the first of them."""
    one = await window(14)
    await one.start_with(15, 17, title=unique("New"))
    hint = one.page.get_by_text("No messages yet.")
    await expect(hint).to_be_visible()

    await one.send("hello")

    await expect(hint).to_be_hidden()


async def test_a_search_that_finds_nobody_says_so(window: Open) -> None:
    """It is said once the server has answered, and gone when somebody matches."""
    one = await window(18)
    await one.by("new-conversation").click()
    await expect(one.by("employee-option").first).to_be_visible()
    nobody = one.page.get_by_text("Nobody found")
    await expect(nobody).to_be_hidden()

    await one.by("employee-filter").fill("qqqqqq")
    await expect(nobody).to_be_visible()

    await one.by("employee-filter").fill("")
    await expect(nobody).to_be_hidden()
