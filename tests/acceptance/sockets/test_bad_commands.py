"""Every command with every kind of bad input, over a real socket: refused, and nothing else."""

from __future__ import annotations

import pytest

from gateway import commands
from gateway.protocol import COMMANDS, MessageCreated
from tests.support.bad_inputs import ID, MALFORMED, NOT_READ, bad_inputs, good_input
from tests.support.desk import OKSANA, PETRO, Desk
from tests.support.raw import RawSocket, raw

NOUNS = sorted({name.split(".")[0] for name in set(COMMANDS) - NOT_READ})


def test_every_command_is_tried_with_bad_input() -> None:
    """And is served; those that are not read are answered before anything in them matters."""
    tried = {name: [wrong.why for wrong in bad_inputs(name)] for name in COMMANDS}

    assert {name for name in COMMANDS if not tried[name]} == NOT_READ
    assert tried.keys() == commands.HANDLERS.keys()
    for name in tried.keys() - NOT_READ:
        for field in good_input(name):
            assert any(why.startswith(f"{field}: ") for why in tried[name]), (name, field)


@pytest.mark.parametrize("noun", NOUNS)
async def test_bad_input_is_refused_and_harms_nobody(empty_desk: Desk, noun: str) -> None:
    """Each has its code and names the field; the connection, other people and the log are fine."""
    node = await empty_desk.start_node(max_errors=10_000, pings_burst=10_000)
    petro = await empty_desk.client(PETRO)
    oksana = await empty_desk.client(OKSANA)
    conversation = (await petro.open(OKSANA)).conversation
    async with raw(node.socket_url) as client:
        await client.hello(empty_desk.token(OKSANA))
        for name in (name for name in COMMANDS if name.split(".")[0] == noun):
            await _try_all(client, name)
        assert "ok" in await client.ask({"type": "unread.get", "id": 8})

    await oksana.send(conversation.id, "still here")
    assert (await petro.next(MessageCreated)).message.text == "still here"
    assert "internal" not in node.node.metrics.refusals


async def _try_all(client: RawSocket, name: str) -> None:
    for wrong in bad_inputs(name):
        answer = await client.ask(wrong.frame)
        about = f"{name}: {wrong.why}"
        assert answer.get("error", {}).get("code") == wrong.code, about
        assert len(str(answer)) < 1_000, about
        if wrong.code != MALFORMED:
            assert answer["id"] == ID, about
            path = answer["error"]["path"].split(".")[0].split("[")[0]
            assert path == wrong.path, about
