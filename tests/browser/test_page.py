"""The page against a running gateway with two workers."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Browser, expect

from gateway.client import connect
from tests.browser.window import Open, PageGateway, Window, pair, unique

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AGENT_101, AGENT_103, AGENT_201 = 1, 3, 6  # who are rung in the recordings l01, l12 and l07


async def test_two_windows_on_two_workers_see_one_conversation(window: Open) -> None:
    """What one writes, both see, each served by a worker of its own."""
    one, other = await pair(window, 2, 3)
    await other.conversation_with(await one.name()).click()
    hello, answer = unique("Hello"), unique("Hello yourself")

    await one.send(hello)
    await expect(other.message(hello)).to_be_visible()
    await other.send(answer)

    await expect(one.message(answer)).to_be_visible()
    for shown in (one, other):
        await expect(shown.message(hello)).to_have_count(1)
        await expect(shown.message(answer)).to_have_count(1)
    for number, shown in enumerate((one, other), 1):
        await expect(shown.by("node")).to_have_text(f"Worker {number}")
        title = f"Worker {number} of dev serves this window"
        await expect(shown.by("node")).to_have_attribute("title", title)


@pytest.mark.slow
async def test_the_unread_badge_appears_and_clears(window: Open) -> None:
    """Unread messages are counted in the list, the tab and the title until they are read."""
    one, other = await pair(window, 4, 5)
    item = other.conversation_with(await one.name())
    badge = item.get_by_test_id("unread-badge")
    await item.click()
    await expect(badge).to_be_hidden()
    await other.leave_conversation()

    await one.send(unique("first"))
    await one.send(unique("second"))

    await expect(badge).to_have_text("2")
    await expect(other.by("total-unread")).to_have_text("2")
    await expect(other.page).to_have_title(re.compile(r"^\(2\) "))
    await item.click()
    await expect(badge).to_be_hidden()
    await expect(other.by("total-unread")).to_be_hidden()
    await expect(other.page).not_to_have_title(re.compile(r"^\("))


@pytest.mark.slow
async def test_typing_shows_until_the_message_comes(window: Open) -> None:
    """Who is typing is shown to the other, and gone once the message is there."""
    one, other = await pair(window, 6, 7)
    await other.conversation_with(await one.name()).click()
    written = unique("typed")

    await one.by("composer").press_sequentially("abc")
    await expect(other.by("typing")).to_have_text(f"{await one.name()} is typing…")
    await one.send(written)

    await expect(other.message(written)).to_be_visible()
    await expect(other.by("typing")).to_have_text("")


@pytest.mark.slow
async def test_a_message_shows_that_it_was_read(window: Open) -> None:
    """Two ticks when it is on the other's device, in colour once they have it in front of them."""
    one, other = await pair(window, 8, 9)
    written = unique("read me")
    await one.send(written)
    mark = one.message(written).get_by_test_id("read-mark")
    await expect(mark).to_have_attribute("aria-label", "Delivered")
    await expect(mark).to_have_text("✓✓")
    await expect(mark).not_to_have_attribute("data-read", "true")

    await other.conversation_with(await one.name()).click()

    await expect(mark).to_have_attribute("aria-label", f"Read by {await other.name()}")
    await expect(mark).to_have_attribute("data-read", "true")


@pytest.mark.slow
async def test_an_answer_shows_that_it_was_read(window: Open, dev_gateway: PageGateway) -> None:
    """Whoever answers has read what came before, without saying so separately."""
    one = await window(12)
    await one.start_with(13)
    written = unique("answer me")
    await one.send(written)
    mark = one.message(written).get_by_test_id("read-mark")
    await expect(mark).to_have_attribute("aria-label", "Sent")

    async with connect(dev_gateway.socket_url(1), dev_gateway.token(13)) as other:
        conversation = (await other.open(12)).conversation
        await other.send(conversation.id, unique("answered"))

        await expect(mark).to_have_attribute("data-read", "true")


@pytest.mark.slow
async def test_what_becomes_of_messages_is_shown(window: Open, dev_gateway: PageGateway) -> None:
    """Edits, reactions, mentions and deletions appear where the messages stand."""
    one = await window(14)
    await one.start_with(15)
    mistyped, wrong, kept = unique("mistyped"), unique("wrong"), unique("kept")
    async with connect(dev_gateway.socket_url(1), dev_gateway.token(15)) as other:
        conversation = (await other.open(14)).conversation
        for text in (mistyped, kept, wrong):
            await other.send(conversation.id, text)
        shown = one.by("message")
        await expect(shown).to_have_count(3)

        fixed = unique("fixed")
        await other.edit(conversation.id, 1, f"<@14> {fixed} <@9>")
        await other.react(conversation.id, 2, "🎉")
        await other.delete(conversation.id, 3)

        said = shown.nth(0).get_by_test_id("message-text")
        await expect(said).to_have_text(f"@{await one.name()} {fixed} <@9>")
        await expect(shown.nth(0).get_by_test_id("edited")).to_have_text("edited")
        await expect(shown.nth(1).get_by_test_id("reaction")).to_have_text("🎉 1")
        await expect(shown.nth(2).get_by_test_id("message-text")).to_have_text("Message deleted")
        await expect(one.conversation_with("Marek Nowak")).to_contain_text(kept)
        await other.unreact(conversation.id, 2, "🎉")
        await expect(shown.nth(1).get_by_test_id("reaction")).to_have_count(0)
        await expect(shown).to_have_count(3)


@pytest.mark.slow
async def test_a_group_is_made_and_reaches_its_members(window: Open) -> None:
    """Several people make a group, which appears with each of them at once."""
    one, other = await window(10), await window(11, worker=1)
    title, written = unique("Group"), unique("to all")

    await one.start_with(11, 12, title=title)
    await one.send(written)

    item = other.conversation_with(title)
    await expect(item.get_by_test_id("last-message")).to_contain_text(written)
    await item.click()
    await expect(other.message(written)).to_be_visible()


async def test_text_is_never_markup(window: Open) -> None:
    """A message that looks like HTML is shown as it was written."""
    one, other = await pair(window, 13, 14)
    await other.conversation_with(await one.name()).click()
    written = unique("<img src=x onerror='document.title=1'> & <b>bold</b>")

    await one.send(written)

    await expect(other.message(written)).to_be_visible()
    assert await other.by("messages").locator("img, b").count() == 0


@pytest.mark.slow
async def test_a_call_brings_the_customer(window: Open, dev_gateway: PageGateway) -> None:
    """A ringing telephone shows the caller from the CRM, then how the call ended."""
    agent = await window(AGENT_101)
    playing = asyncio.create_task(asyncio.to_thread(dev_gateway.replay, "l01"))
    card = agent.by("call-card").first

    await expect(card.get_by_test_id("call-customer")).to_have_text("Ivan Petrenko", timeout=40_000)
    await expect(card.get_by_test_id("call-number")).to_have_text("+380671234567")
    await expect(card.get_by_test_id("call-queue")).to_have_text("sales")
    await expect(card.get_by_test_id("call-did")).to_have_text("+380441110001")
    await playing
    await expect(card.get_by_test_id("call-outcome")).to_contain_text("Answered by", timeout=15_000)
    await expect(card.get_by_test_id("call-outcome")).to_contain_text("the customer hung up")
    await card.get_by_test_id("call-dismiss").click()
    await expect(agent.by("call-card")).to_have_count(0)

    await agent.by("tab-calls").click()
    await expect(agent.by("recent-call").first).to_contain_text("Ivan Petrenko")


@pytest.mark.slow
async def test_a_call_into_a_mailbox_says_so(window: Open, dev_gateway: PageGateway) -> None:
    """Who was rung for it sees that there is a message: on the card, and in the list."""
    agent = await window(AGENT_201)
    playing = asyncio.create_task(asyncio.to_thread(dev_gateway.replay, "l07"))
    card = agent.by("call-card").first

    await expect(card.get_by_test_id("call-outcome")).to_have_text(
        re.compile("^Voicemail"), timeout=60_000
    )
    await expect(card.get_by_test_id("call-mailbox")).to_have_text("100@default, message left")
    await playing

    await agent.by("tab-calls").click()
    await expect(agent.by("recent-call").first).to_contain_text("message left")


@pytest.mark.slow
async def test_a_transferred_call_shows_to_whom(window: Open, dev_gateway: PageGateway) -> None:
    """The card of the target shows who transferred it, and after how long a consultation."""
    agent = await window(AGENT_103)

    await asyncio.to_thread(dev_gateway.replay, "l12")
    card = agent.by("call-card").first

    await expect(card.get_by_test_id("call-transfers")).to_have_text(
        "Oksana Kovalenko transferred the call to Iryna Bondar, after a consultation of 0:04",
        timeout=15_000,
    )
    await card.get_by_test_id("call-dismiss").click()
    await agent.by("tab-calls").click()
    await expect(agent.by("recent-call").first).to_contain_text("transferred to Iryna Bondar")


@pytest.mark.slow
async def test_a_reload_opens_the_same_conversation(window: Open) -> None:
    """A reloaded window is signed in, shows its conversation and what was said in it."""
    one, other = await pair(window, 15, 16)
    before, after = unique("before"), unique("after")
    await one.send(before)
    await expect(one.message(before)).to_have_attribute("data-state", "stored")

    await one.page.reload()
    await one.live()
    await other.conversation_with(await one.name()).click()
    await other.send(after)

    await expect(one.message(before)).to_have_count(1)
    await expect(one.message(after)).to_have_count(1)


@pytest.mark.slow
async def test_what_was_missed_offline_is_shown_once(window: Open) -> None:
    """After a broken connection the missed messages are there, in order, each once; files too."""
    one, other = await pair(window, 17, 18)
    await other.conversation_with(await one.name()).click()
    note: Any = {"name": "note.txt", "mimeType": "text/plain", "buffer": b"a note"}
    await other.by("file-input").set_input_files(note)
    await expect(other.by("chosen-file")).to_have_attribute("data-state", "ready")
    await other.context.set_offline(True)
    await other.lost()
    missed = [unique(f"missed {number}") for number in range(3)]
    for text in missed:
        await one.send(text)
    await expect(one.message(missed[-1])).to_have_attribute("data-state", "stored")
    written = unique("written offline")
    await other.send(written)

    await other.context.set_offline(False)
    await other.live()

    for shown in (one, other):
        await expect(shown.message(written)).to_have_attribute("data-state", "stored")
        await expect(shown.message(written).get_by_test_id("file-card")).to_have_count(1)
        texts = shown.by("message-text")
        said = [text for text in await texts.all_inner_texts() if text in {*missed, written}]
        assert said == [*missed, written]


@pytest.mark.slow
async def test_older_messages_come_when_scrolling_up(
    window: Open, dev_gateway: PageGateway
) -> None:
    """The newest page is shown first; scrolling to the top brings the page before it."""
    one, other = await pair(window, 19, 12)
    first = unique("the very first")
    await one.send(first)
    await expect(one.message(first)).to_have_attribute("data-state", "stored")
    conn = await asyncpg.connect(dev_gateway.database)
    try:
        await conn.execute(  # as the CRM: a person's sending is limited
            """
            SELECT realtime.send_message(m.conversation_id, 19, 'filler ' || n)
              FROM generate_series(0, 59) AS n
              JOIN realtime.messages AS m ON m.body = $1
             ORDER BY n
            """,
            first,
        )
    finally:
        await conn.close()

    await other.conversation_with(await one.name()).click()
    await expect(other.message("filler 59")).to_be_visible()
    log = other.page.get_by_role("log")
    while await other.message(first).count() == 0:
        shown = await other.by("message").count()
        await log.evaluate("log => { log.scrollTop = 0; }")
        await expect(other.by("message").nth(shown)).to_be_attached()

    numbers = [
        int(await line.get_attribute("data-seq") or 0) for line in await other.by("message").all()
    ]
    assert numbers == sorted(set(numbers))


@pytest.mark.slow
async def test_the_token_leaves_the_address_bar(
    chromium: Browser, dev_gateway: PageGateway
) -> None:
    """A token from the address is kept by the window alone, not by its history."""
    one = await Window.open(chromium)
    await one.sign_in(dev_gateway.url, dev_gateway.token(2))

    assert "token" not in one.page.url
    assert await one.page.evaluate("history.length") <= 2
    await one.close()


@pytest.mark.slow
async def test_a_refused_token_leads_to_the_sign_in(
    chromium: Browser, dev_gateway: PageGateway
) -> None:
    """A forged token is forgotten, and the person is asked to sign in."""
    made = await Window.open(chromium)
    await made.page.goto(f"{dev_gateway.url}/#token=forged")

    await expect(made.by("sign-in")).to_be_visible(timeout=15_000)
    await expect(made.by("sign-in-error")).to_have_text(
        "Your sign-in is no longer valid. Please sign in again."
    )

    assert await made.page.evaluate("sessionStorage.getItem('gateway.token')") is None
    await made.close()


@pytest.mark.slow
async def test_a_link_with_an_empty_token_says_so(
    chromium: Browser, dev_gateway: PageGateway
) -> None:
    """Whatever should have made the token made nothing; the sign-in does not hide that."""
    made = await Window.open(chromium)
    await made.page.goto(f"{dev_gateway.url}/#token=")

    await expect(made.by("sign-in-error")).to_contain_text("The token of this link is empty")

    assert "token" not in made.page.url
    await made.close()
