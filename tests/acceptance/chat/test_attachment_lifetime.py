"""How long files are kept: as part of one message, and removed with it or when nobody uses them."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from gateway.protocol import (
    MessageDeleted,
)
from tests.support.attachments import (
    PNG,
    declare,
    kept,
    picture,
    upload,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually, refused
from tests.support.retention import sweep


async def test_a_file_is_part_of_one_message(file_desk: Desk) -> None:
    """Of many who send it at once one wins; the others take no number, and say nothing."""
    oksana, phone = await file_desk.client(OKSANA), await file_desk.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    file, more = [await picture(oksana, conversation_id) for _ in range(2)]

    done = await asyncio.gather(
        *(
            client.send(conversation_id, f"{number}", attachments=ids)
            for number in range(4)
            for client, ids in ((oksana, [file, more]), (phone, [more, file]))
        ),
        return_exceptions=True,
    )

    refusals = [one for one in done if isinstance(one, Exception)]
    assert [getattr(one, "code", one) for one in refusals] == ["attachment.taken"] * 7
    page = await oksana.history(conversation_id)
    assert [message.seq for message in page.messages] == [1]
    late = oksana.send(conversation_id, "late", attachments=[file])
    assert await refused(late) == "attachment.taken"
    assert (await oksana.send(conversation_id, "after")).seq == 2


async def test_a_retry_gets_the_first_message(file_desk: Desk) -> None:
    """Eight at once with one key are one message; with other files the key is refused."""
    oksana, petro = await file_desk.client(OKSANA), await file_desk.client(PETRO)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    file, other = [await picture(oksana, conversation_id) for _ in range(2)]
    key = uuid.uuid4()

    done = await asyncio.gather(
        *(oksana.send(conversation_id, "x", client_key=key, attachments=[file]) for _ in range(8))
    )

    assert {message.seq for message in done} == {1}
    for ids in ([other], [file, other], None):
        attempt = oksana.send(conversation_id, "x", client_key=key, attachments=ids)
        assert await refused(attempt) == "message.client_key_reused"
    edited = await oksana.edit(conversation_id, 1, "y")
    assert edited.attachments == done[0].attachments
    assert await oksana.send(conversation_id, "x", client_key=key, attachments=[file]) == edited
    deleted = await oksana.delete(conversation_id, 1)
    await eventually(lambda: len(kept(file_desk)) == 1)
    assert await oksana.send(conversation_id, "x", client_key=key, attachments=[file]) == deleted
    assert (await petro.next(MessageDeleted)).message.attachments == []


async def test_a_deleted_message_takes_its_files_along(file_desk: Desk) -> None:
    """They are gone from the directory and for everybody; the other message's are not."""
    oksana, petro = await file_desk.client(OKSANA), await file_desk.client(PETRO)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    files = [await picture(oksana, conversation_id) for _ in range(3)]
    await oksana.send(conversation_id, "", attachments=files[:2])
    await oksana.send(conversation_id, "", attachments=files[2:])
    link = await petro.link(files[0])
    assert len(kept(file_desk)) == 3

    deleted = await oksana.delete(conversation_id, 1)

    assert deleted.attachments == []
    await eventually(lambda: len(kept(file_desk)) == 1)
    assert await refused(petro.link(files[0])) == "attachment.not_found"
    answer = await file_desk.http().get(link.url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file.not_found")
    assert await petro.download(files[2]) == PNG


async def test_what_nobody_wants_is_swept(file_desk: Desk, tmp_path: Path) -> None:
    """Never sent, its conversation gone, its message too old; by any node, and then forgotten."""
    await file_desk.start_node(files_dir=tmp_path / "files", file_sweep_s=0.05)
    oksana = await file_desk.client(OKSANA)
    old = (await oksana.open(PETRO)).conversation.id
    gone = (await oksana.open(IRYNA)).conversation.id
    unsent, ancient, orphan, fresh = [await picture(oksana, room) for room in (old, old, gone, old)]
    waiting = await declare(oksana, old)
    await oksana.send(old, "", attachments=[ancient])
    await oksana.send(old, "", attachments=[fresh])
    await oksana.send(gone, "", attachments=[orphan])

    await file_desk.sql(
        """
        UPDATE realtime.attachments SET due_at = now() - interval '1 s',
               created_at = now() - interval '2 days'
         WHERE id = ANY ($1)
        """,
        [unsent, ancient, orphan, waiting.attachment_id],
    )
    await file_desk.sql("DELETE FROM realtime.conversations WHERE id = $1", gone)
    await file_desk.sql("UPDATE realtime.conversation_participants SET last_read_seq = 9")
    await file_desk.sql(
        "UPDATE realtime.messages SET created_at = now() - interval '31 days' WHERE seq = 1"
    )
    assert await sweep(file_desk.nodes[0].node.services, 30) == 1

    async def left() -> bool:
        rows = await file_desk.sql("SELECT id FROM realtime.attachments")
        return [row["id"] for row in rows] == [fresh]

    await eventually(left)
    assert len(kept(file_desk)) == 1
    attempt = oksana.send(old, "", attachments=[waiting.attachment_id])
    assert await refused(attempt) == "attachment.not_found"


async def test_bytes_that_come_again_are_removed_again(file_desk: Desk) -> None:
    """While its upload's link is good a removed file is remembered, and looked at once more."""
    oksana = await file_desk.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    made = await declare(oksana, conversation_id)
    await upload(file_desk, made)
    await oksana.send(conversation_id, "", attachments=[made.attachment_id])
    await oksana.delete(conversation_id, 1)
    counts = file_desk.nodes[0].app.state.gateway.services.files.counts
    await eventually(lambda: counts.removed)  # it is noted, too, that the bytes are gone
    assert not kept(file_desk)

    assert await upload(file_desk, made) == ""
    await file_desk.sql(
        "UPDATE realtime.attachments SET created_at = now() - interval '1 day', due_at = now()"
    )

    await eventually(lambda: not kept(file_desk))

    async def forgotten() -> bool:
        return not await file_desk.sql("SELECT FROM realtime.attachments")

    await eventually(forgotten)
