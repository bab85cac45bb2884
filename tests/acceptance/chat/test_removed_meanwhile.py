"""Who was taken out and let in again while the bus was away."""

from __future__ import annotations

from gateway.protocol import (
    ConversationAdd,
    ConversationCreate,
    ConversationCreated,
    ConversationRemove,
    ConversationUpdate,
    MessageCreated,
)
from tests.acceptance.chat.test_healing import lose_everything
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk


async def test_what_was_said_while_one_was_out_is_not_heard_with_what_was_missed(
    empty_desk: Desk,
) -> None:
    """The database has only the return; all of it is read at once, and the rest stays unheard."""
    await empty_desk.start_node()
    deaf = await empty_desk.start_node(sweep_s=60.0, upkeep_s=60.0)
    oksana = await empty_desk.client(OKSANA)
    petro, iryna = await empty_desk.client(PETRO, node=1), await empty_desk.client(IRYNA, node=1)
    made = await oksana.request(ConversationCreate(title="Secrets", employee_ids=[PETRO, IRYNA]))
    cid = made.conversation.id
    await oksana.request(ConversationUpdate(conversation_id=cid, history="joined"))
    for one in (petro, iryna):
        await one.next(ConversationCreated)
    await oksana.send(cid, "heard by both")
    for one in (petro, iryna):
        while (await one.next(MessageCreated)).message.text != "heard by both":
            pass

    end = lose_everything(empty_desk.nodes[0])
    await oksana.request(ConversationRemove(conversation_id=cid, employee_id=PETRO))
    await oksana.send(cid, "secret")
    await oksana.request(ConversationAdd(conversation_id=cid, employee_ids=[PETRO]))
    end()
    deaf.node.delivery.resynced()
    await oksana.send(cid, "heard again")

    for one, expected in ((iryna, ["secret", "heard again"]), (petro, ["heard again"])):
        texts: list[str] = []
        while "heard again" not in texts:
            message = (await one.next(MessageCreated)).message
            texts += [message.text] if message.kind == "text" else []
        assert texts == expected
