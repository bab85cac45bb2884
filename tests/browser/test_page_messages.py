"""What the page does with messages: edit, delete, answer, react, mention, link, search."""

from __future__ import annotations

import asyncpg
import pytest
from playwright.async_api import Locator, expect

from gateway.client import connect
from tests.browser.window import Open, PageGateway, Window, pair, unique

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


LOAD_ANEW = "url => { history.replaceState(null, '', url); location.reload(); }"


async def choose(window: Window, line: Locator, action: str) -> None:
    """Open the menu of a message, and take this from it."""
    await line.hover()
    await line.get_by_test_id("message-menu").click()
    await window.by("menu").get_by_test_id(action).click()


def shown(window: Window, seq: int) -> Locator:
    return window.by("messages").locator(f"[data-seq='{seq}']")


async def test_own_messages_are_edited_and_deleted_in_place(window: Open) -> None:
    """Enter saves, Escape leaves it; deleting asks first; the other one sees what became of it."""
    one, other = await pair(window, 2, 4)
    await other.conversation_with(await one.name()).click()
    first, fixed = unique("frist"), unique("first")
    await one.send(first)
    line = one.message(first)
    await expect(line).to_have_attribute("data-state", "stored")
    seq = int(await line.get_attribute("data-seq") or 0)

    await choose(one, line, "edit")
    await one.by("editor").fill("not this")
    await one.by("editor").press("Escape")
    await expect(shown(one, seq).get_by_test_id("message-text")).to_have_text(first)
    await choose(one, shown(one, seq), "edit")
    await one.by("editor").fill(fixed)
    await one.by("editor").press("Enter")
    await expect(shown(other, seq).get_by_test_id("message-text")).to_have_text(fixed)
    await expect(shown(other, seq).get_by_test_id("edited")).to_have_text("edited")
    await expect(one.by("editor")).to_have_count(0)

    await choose(one, shown(one, seq), "delete")
    await one.by("cancel").click()
    await expect(shown(one, seq).get_by_test_id("message-text")).to_have_text(fixed)
    await choose(one, shown(one, seq), "delete")
    await one.by("confirm").click()
    for each in (one, other):
        await expect(shown(each, seq).get_by_test_id("message-text")).to_have_text(
            "Message deleted"
        )

    theirs = unique("theirs")
    await one.send(theirs)
    await other.message(theirs).hover()
    await other.message(theirs).get_by_test_id("message-menu").click()
    await expect(other.by("menu").get_by_test_id("mark-unread")).to_be_visible()
    await expect(other.by("menu").get_by_test_id("edit")).to_have_count(0)
    await expect(other.by("menu").get_by_test_id("delete")).to_have_count(0)


async def test_replies_reactions_and_mentions_in_a_group(window: Open) -> None:
    """A reply quotes, a thread goes on beside, emojis add up, names are completed."""
    one, other = await window(6), await window(7, worker=1)
    await one.start_with(7, 8, title=unique("Thread"))
    question = unique("question")
    await one.by("composer").press_sequentially(f"{question} @kra")
    await one.by("completion-option").first.wait_for()
    await one.by("composer").press("Enter")
    await expect(one.by("composer")).to_have_value(f"{question} @Nadiia Kravets ")
    await one.by("composer").press("Enter")
    item = other.conversation_with(await one.by("conversation-title").inner_text())
    await expect(item.get_by_test_id("unread-badge")).to_have_text("@ 1")
    await item.click()
    await expect(shown(other, 1)).to_have_attribute("data-mentions-me", "true")
    await expect(shown(other, 1).get_by_test_id("mention")).to_have_text("@Nadiia Kravets")

    await shown(other, 1).hover()
    await shown(other, 1).get_by_test_id("reply").click()
    await expect(other.by("answering")).to_contain_text(question)
    await other.send("an answer")
    await expect(shown(one, 2).get_by_test_id("quote")).to_contain_text(question)
    await expect(shown(one, 1).get_by_test_id("answers")).to_have_text("1 reply")
    await shown(one, 1).get_by_test_id("answers").click()
    await expect(one.by("thread-messages").get_by_test_id("message")).to_have_count(1)
    await one.by("thread-composer").fill("another")
    await one.by("thread-composer").press("Enter")
    for each in (one, other):
        await expect(shown(each, 1).get_by_test_id("answers")).to_have_text("2 replies")
    await expect(one.by("thread-messages").get_by_test_id("message")).to_have_count(2)
    await choose(other, shown(other, 2), "delete")
    await other.by("confirm").click()
    await expect(one.by("thread-messages").get_by_test_id("message")).to_have_count(1)
    for each in (one, other):
        await expect(shown(each, 1).get_by_test_id("answers")).to_have_text("1 reply")
    await one.by("close-thread").press("Escape")
    await expect(one.by("thread")).to_be_hidden()
    await expect(shown(one, 1)).to_be_focused()

    await shown(other, 1).hover()
    await shown(other, 1).get_by_test_id("react").click()
    await other.by("emoji").first.click()
    reaction = shown(one, 1).get_by_test_id("reaction")
    await expect(reaction).to_have_text("👍 1")
    await expect(reaction).to_have_attribute("title", "Nadiia Kravets")
    await expect(reaction).to_have_attribute("aria-pressed", "false")
    await reaction.click()
    await expect(reaction).to_have_text("👍 2")
    await expect(reaction).to_have_attribute("aria-pressed", "true")
    await reaction.click()
    await expect(shown(other, 1).get_by_test_id("reaction")).to_have_text("👍 1")

    await choose(one, shown(one, 1), "readers")
    await expect(one.by("notices")).to_contain_text("Read by 1 of 2: Nadiia Kravets.")


async def test_a_link_to_a_message_leads_to_it(window: Open, dev_gateway: PageGateway) -> None:
    """It opens among its neighbours, the way goes on in both directions; others' links say no."""
    one = await window(8)
    await one.start_with(9, 10, title=unique("Long"))
    url = one.page.url
    conversation_id = int(url.rsplit("/", 1)[1])
    database = await asyncpg.connect(dev_gateway.database)
    await database.execute(
        "SELECT realtime.send_message($1, 9, 'filler ' || n) FROM generate_series(1, 150) AS n",
        conversation_id,
    )
    await database.close()
    # What the database alone knows of comes with the next sweep.
    await expect(shown(one, 150)).to_be_in_viewport(timeout=20_000)

    await one.page.evaluate(LOAD_ANEW, f"{url}/messages/20")
    await expect(shown(one, 20)).to_be_in_viewport()
    await expect(shown(one, 150)).to_have_count(0)
    await expect(one.page).to_have_url(url)
    await one.send("written from the past")
    await expect(shown(one, 151)).to_be_in_viewport()
    await expect(shown(one, 20)).to_have_count(0)

    await one.by("search").fill("filler 33")
    await one.by("found-message").first.click()
    await expect(shown(one, 33)).to_be_in_viewport()
    await one.by("to-end").click()
    await expect(shown(one, 151)).to_be_in_viewport()

    async with connect(dev_gateway.socket_url(1), dev_gateway.token(11)) as stranger:
        theirs = (await stranger.open(12)).conversation.id
    for hash_ in (f"#/conversations/{theirs}/messages/1", "#/conversations/999999999"):
        await one.page.evaluate("hash => { location.hash = hash; }", hash_)
        await expect(one.by("nothing")).to_have_text(
            "There is no such conversation, or you are not in it."
        )


async def test_search_finds_messages_and_people(window: Open) -> None:
    """Matches are marked as text; a person that is found can be written to."""
    one = await window(13)
    await one.start_with(14)
    word = unique("zephyr")
    await one.send(f"<b>{word}</b> blows")

    await one.by("search").fill(word)
    hit = one.by("found-message").first
    await expect(hit.locator("mark").first).to_be_visible()
    await expect(hit).to_contain_text("<b>zephyr")
    await one.by("search").fill("Zinchenko")
    await one.by("found-person").first.click()
    await expect(one.by("conversation-title")).to_have_text("Ivan Zinchenko")
    await expect(one.by("search")).to_have_value("")
