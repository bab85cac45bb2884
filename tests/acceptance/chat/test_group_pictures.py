"""Where a group's picture may be: a stranger's server would see who looks at it, and when."""

from __future__ import annotations

import pytest

from gateway.protocol import ConversationUpdate
from tests.acceptance.chat.test_members import make_group
from tests.support.desk import OKSANA, PETRO, Desk, refused

FOREIGN = [
    "https://evil.example/a.png",
    "http://crm.example/a.png",
    "https://crm.example.evil.example/a.png",
    "https://crm.example@evil.example/a.png",
    "https://crm.example:444/a.png",
    "https://evil.example/https://crm.example/a.png",
    "https://evil.example?https://crm.example/",
    "https://evil.example\\@crm.example/a.png",
    "//evil.example/a.png",
    "/\\evil.example/a.png",
]
KNOWN = [
    "https://crm.example/a.png",
    "https://CRM.example/a.png?b=c",
    "https://crm.example",
    "https://files.example:8443/x/y.png#z",
    "/icon.svg",
]


async def test_a_picture_is_at_an_origin_that_the_operator_named(empty_desk: Desk) -> None:
    """Or at the gateway's own; nothing that only looks like one is taken."""
    await empty_desk.start_node(picture_origins="https://crm.example, https://files.example:8443")
    oksana = await empty_desk.client(OKSANA)
    group = await make_group(oksana, PETRO)

    for url in FOREIGN:
        command = ConversationUpdate(conversation_id=group, avatar_url=url)
        assert await refused(oksana.request(command)) == "command.invalid", url
    for url in KNOWN:
        command = ConversationUpdate(conversation_id=group, avatar_url=url)
        assert (await oksana.request(command)).conversation.avatar_url == url


@pytest.mark.parametrize("url", KNOWN[:1] + FOREIGN[:1])
async def test_without_named_origins_there_are_no_foreign_pictures(
    small_desk: Desk, url: str
) -> None:
    """Over HTTP, too; a picture from before, sent with a new title, stays as it is."""
    oksana, http = await small_desk.client(OKSANA), small_desk.http(OKSANA)
    group = await make_group(oksana, PETRO)
    path = f"/v1/messenger/conversations/{group}"

    answer = await http.patch(path, json={"avatar_url": url})
    await small_desk.sql("UPDATE realtime.conversations SET avatar_url = $1", url)
    renamed = await http.patch(path, json={"title": "Other", "avatar_url": url})

    assert (answer.status_code, answer.json()["error"]["path"]) == (422, "avatar_url")
    assert (renamed.status_code, renamed.json()["conversation"]["title"]) == (200, "Other")
