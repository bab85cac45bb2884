"""What the page does with conversations: mine, drafts, later, members; on all of one's windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Locator, expect

from gateway.client import connect
from gateway.protocol import ConversationCreate
from tests.browser.window import Open, PageGateway, Window, pair, unique

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def choose(window: Window, action: str, menu: str = "conversation-menu") -> None:
    """Open a menu, and take this from it."""
    await window.by(menu).click()
    await window.by("menu").get_by_test_id(action).click()


def item(window: Window, title: str) -> Locator:
    return window.by("conversation-list").locator("li").filter(has_text=title)


async def test_what_is_only_mine_is_the_same_in_all_my_windows(window: Open) -> None:
    """Pinned, muted, archived and marked unread in one window are so in the other one."""
    one, other = await window(2), await window(2, worker=1)
    first, second = unique("First"), unique("Second")
    for title in (first, second):
        await one.start_with(3, 4, title=title)
    await item(one, first).click()

    await choose(one, "pin")
    await choose(one, "mute-for-good")
    await expect(other.by("conversation-list").locator("li").first).to_contain_text(first)
    marks = item(other, first).get_by_test_id("item-marks")
    await expect(marks).to_have_attribute("aria-label", "pinned, muted")
    await choose(one, "unmute")
    await expect(marks).to_have_attribute("aria-label", "pinned")
    await choose(one, "notify-mentions")
    await item(other, first).click()
    await other.by("conversation-menu").click()
    chosen = other.by("menu").get_by_test_id("notify-mentions")
    await expect(chosen).to_have_attribute("aria-checked", "true")
    await other.page.keyboard.press("Escape")

    await choose(one, "archive")
    await expect(item(other, first)).to_have_count(0)
    await choose(other, "show-archive", "list-menu")
    await expect(item(other, first)).to_have_count(1)
    await expect(item(other, second)).to_have_count(0)
    await other.by("leave-archive").click()
    await one.send(unique("back again"))
    await expect(item(other, first)).to_have_count(1)


async def test_marked_unread_stays_so_until_one_comes_back(window: Open) -> None:
    """The open window does not undo the mark, coming back does; everything is read at once."""
    one, other = await pair(window, 5, 6)
    elsewhere = await window(6)
    mine = other.conversation_with(await one.name())
    badge = elsewhere.conversation_with(await one.name()).get_by_test_id("unread-badge")
    await mine.click()
    texts = [unique("unread") for _ in range(2)]
    for text in texts:
        await one.send(text)
    mark = one.message(texts[1]).get_by_test_id("read-mark")
    await expect(mark).to_have_attribute("aria-label", f"Read by {await other.name()}")

    line = other.message(texts[0])
    await line.hover()
    await line.get_by_test_id("message-menu").click()
    await other.by("menu").get_by_test_id("mark-unread").click()
    await expect(badge).to_have_text("2")
    await other.page.reload()
    await other.live()
    await expect(mine.get_by_test_id("unread-badge")).to_have_text("2")
    await other.leave_conversation()
    await mine.click()
    await expect(badge).to_be_hidden()

    await other.leave_conversation()
    await one.send(unique("and another"))
    await expect(badge).to_have_text("1")
    await choose(other, "read-all", "list-menu")
    await expect(badge).to_be_hidden()


async def test_drafts_follow_and_later_messages_wait(window: Open) -> None:
    """What is begun here is there, and gone once sent; what waits can be changed, or not sent."""
    one, other = await window(9), await window(9, worker=1)
    title, begun = unique("Draft"), unique("begun")
    await one.start_with(10, 11, title=title)
    await one.by("composer").fill(f"@Alice Weber {begun}")
    await expect(item(other, title)).to_contain_text(f"Draft: @Alice Weber {begun}")
    await item(other, title).click()
    await expect(other.by("composer")).to_have_value(f"@Alice Weber {begun}")
    await other.by("composer").press("Enter")
    await expect(other.message(begun).get_by_test_id("mention")).to_have_text("@Alice Weber")
    await expect(one.by("composer")).to_have_value("")

    later, changed = unique("later"), unique("changed")
    in_a_month = datetime.now(UTC) + timedelta(days=30)
    await one.by("composer").fill(later)
    await one.by("send-later").click()
    await one.by("save-scheduled").click()
    await expect(one.by("composer")).to_have_value("")
    await one.by("scheduled-notice").click()
    waiting = one.by("scheduled-message")
    await expect(waiting).to_contain_text(later)
    await waiting.get_by_test_id("change-scheduled").click()
    await one.by("scheduled-text").fill(changed)
    await one.by("scheduled-time").fill("2001-01-01T00:00")
    await one.by("scheduled-time").evaluate("input => input.removeAttribute('min')")
    await one.by("save-scheduled").click()
    await expect(one.by("schedule-dialog").get_by_test_id("dialog-error")).not_to_be_empty()
    await one.by("scheduled-time").fill(f"{in_a_month:%Y-%m-%dT%H:%M}")
    await one.by("save-scheduled").click()
    await expect(waiting).to_contain_text(changed)
    await waiting.get_by_test_id("cancel-scheduled").click()
    await expect(waiting).to_have_count(0)


async def test_a_group_is_managed_from_its_dialog(window: Open) -> None:
    """Renaming, people, roles, closing and leaving are seen by everybody, and told in the group."""
    one, other = await window(12), await window(13, worker=1)
    title = unique("Before")
    await one.start_with(13, 14, title=title)
    await item(other, title).click()
    await choose(other, "details")
    await expect(other.by("details-title")).to_be_disabled()
    await other.page.keyboard.press("Escape")

    renamed = unique("After")
    await choose(one, "details")
    await one.by("details-title").fill(renamed)
    await one.by("save-details").click()
    await expect(other.by("conversation-title")).to_have_text(renamed)
    await expect(other.message(f"Vira Savchuk changed the name to “{renamed}”")).to_be_visible()
    await choose(one, "details")
    await one.by("add-people").click()
    await one.by("add-employee-filter").fill("Kateryna")
    await one.by("add-employee-option").and_(one.page.locator("[data-employee-id='9']")).check()
    await one.by("add-members").click()
    member = one.by("member").filter(has_text="Kateryna Levchenko")
    await expect(member).to_be_visible()
    await expect(other.by("conversation-about")).to_contain_text("Kateryna Levchenko")
    await member.get_by_test_id("remove-member").click()
    await expect(member).to_have_count(0)
    role = one.by("member").filter(has_text="Hanna Lysenko").get_by_test_id("role")
    await role.select_option("admin")
    await expect(other.message("Vira Savchuk made Hanna Lysenko an admin")).to_be_visible()
    await one.page.keyboard.press("Escape")

    await choose(other, "close")
    await expect(one.by("closed")).to_be_visible()
    await expect(one.by("composer")).to_be_hidden()
    await choose(one, "close")
    await expect(other.by("composer")).to_be_visible()
    await choose(other, "leave")
    await other.by("confirm").click()
    await expect(item(other, renamed)).to_have_count(0)
    await expect(one.message("Hanna Lysenko left")).to_be_visible()


async def test_what_was_missed_looks_like_a_fresh_load(
    window: Open, dev_gateway: PageGateway
) -> None:
    """After a break the page shows what a page shows that has just been opened."""
    one = await window(15)
    async with connect(dev_gateway.socket_url(1), dev_gateway.token(16)) as other:
        made = await other.request(ConversationCreate(title=unique("Missed"), employee_ids=[15]))
        group = made.conversation.id
        for text in ("first", "second", "third"):
            await other.send(group, text)
        await one.page.evaluate("hash => { location.hash = hash; }", f"#/conversations/{group}")
        await expect(one.by("message")).to_have_count(3)
        await one.context.set_offline(True)
        await one.lost()
        await other.edit(group, 1, "first, edited")
        await other.delete(group, 2)
        await other.react(group, 3, "🎉")
        await other.send(group, "an answer", reply_to_seq=3)
        await other.send(group, "gone at once", reply_to_seq=3)
        await other.delete(group, 5)
        await one.context.set_offline(False)
        await one.live()
    await expect(one.message("an answer")).to_be_visible()

    fresh = await window(15, worker=1)
    await fresh.page.evaluate("hash => { location.hash = hash; }", f"#/conversations/{group}")
    await expect(fresh.message("an answer")).to_be_visible()
    await expect(fresh.by("message")).to_have_count(5)
    expected = await fresh.by("messages").inner_text()
    assert "1 reply" in expected
    await expect(one.by("messages")).to_have_text(await fresh.by("messages").text_content() or "-")
