"""Files in messages: declared, uploaded, looked at, sent, read, and removed with their message."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.chat import retention
from gateway.client import Connection
from gateway.protocol import (
    Attachment,
    AttachmentCreate,
    AttachmentCreated,
    ConversationCreate,
    ConversationList,
    FileLimits,
    MessageCreated,
    MessageDeleted,
    MessageSearch,
    MessageSend,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually, refused

pytest_plugins = ["tests.support.buckets"]

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 20
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"


@pytest.fixture
async def office(empty_desk: Desk, tmp_path: Path) -> Desk:
    """Give a desk whose one node keeps files in a directory."""
    await empty_desk.start_node(files_dir=tmp_path / "files", file_sweep_s=0.05)
    return empty_desk


def kept(desk: Desk) -> list[Path]:
    """Return what is in the directory."""
    root = desk.nodes[0].settings.files_dir
    assert root is not None
    return [path for path in root.rglob("*") if path.is_file()]


async def declare(client: Connection, conversation_id: int, **changes: Any) -> AttachmentCreated:
    fields: dict[str, Any] = {
        "name": "photo.png",
        "content_type": "image/png",
        "size": len(PNG),
        **changes,
    }
    made: AttachmentCreated = await client.request(
        AttachmentCreate(conversation_id=conversation_id, **fields)
    )
    return made


async def upload(desk: Desk, made: AttachmentCreated, data: Any = PNG, **headers: str) -> str:
    """PUT the bytes; return the code of the refusal, or nothing."""
    answer = await desk.http().put(
        made.upload.url, content=data, headers={**made.upload.headers, **headers}
    )
    return "" if answer.status_code == 200 else answer.json()["error"]["code"]


async def picture(client: Connection, conversation_id: int, data: bytes = PNG) -> int:
    return await client.upload(conversation_id, "photo.png", "image/png", data)


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data[:100]
    yield data[100:]


async def test_a_file_goes_from_one_node_to_the_other(office: Desk, tmp_path: Path) -> None:
    """Everybody hears of it with its message; it is in history, in search, and behind its link."""
    await office.start_node(files_dir=tmp_path / "files")
    oksana, petro = await office.client(OKSANA), await office.client(PETRO, node=1)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    path = tmp_path / "звіт.csv"
    path.write_text("a;b\n" * 100_000)

    first = await picture(oksana, conversation_id)
    second = await oksana.upload(conversation_id, path.name, "text/csv", path)
    sent = await oksana.send(conversation_id, "", attachments=[second, first])

    assert sent.attachments == [
        Attachment(attachment_id=second, name="звіт.csv", content_type="text/csv", size=400_000),
        Attachment(attachment_id=first, name="photo.png", content_type="image/png", size=len(PNG)),
    ]
    assert (await petro.next(MessageCreated)).message == sent
    assert (await petro.history(conversation_id)).messages == [sent]
    listed = (await petro.request(ConversationList())).conversations
    newly = (await office.client(PETRO)).welcome.conversations
    assert listed[0].last_message == newly[0].last_message == sent
    assert (await petro.changes(conversation_id, 0)).events[-1]["message"]["attachments"]
    assert await petro.download(first) == PNG
    assert await petro.download(second) == path.read_bytes()
    await oksana.send(conversation_id, "report without a file")
    labelled = await oksana.send(
        conversation_id, "report", attachments=[await picture(oksana, conversation_id)]
    )
    found = await petro.request(MessageSearch(text="report", has_attachment=True))
    assert [hit.message.seq for hit in found.messages] == [labelled.seq]
    figures = (await office.http(node=0).get("/metrics")).text
    assert f"gateway_file_bytes_in_total {2 * len(PNG) + 400_000:.1f}" in figures


async def test_the_welcome_says_what_is_taken(empty_desk: Desk, tmp_path: Path) -> None:
    """The limits are known before anything is uploaded; null where no files are kept."""
    await empty_desk.start_node()
    await empty_desk.start_node(
        files_dir=tmp_path / "files", max_file_bytes=1_000, max_files=3, file_types=("image/*",)
    )
    without, limited = await empty_desk.client(OKSANA), await empty_desk.client(PETRO, node=1)

    assert without.welcome.files is None
    assert limited.welcome.files == FileLimits(max_bytes=1_000, per_message=3, types=["image/*"])


async def test_a_file_goes_through_a_bucket(
    empty_desk: Desk, bucket: dict[str, Any], s3_endpoint: str
) -> None:
    """Client and bucket talk to each other; what is not as declared, and what is deleted, goes."""
    given = {f"s3_{name}": value for name, value in bucket.items()}
    node = await empty_desk.start_node(**given, file_sweep_s=0.05)
    oksana, petro = await empty_desk.client(OKSANA), await empty_desk.client(PETRO)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    storage = node.node.services.files.require()

    file = await picture(oksana, conversation_id)
    sent = await oksana.send(conversation_id, "", attachments=[file])
    link = await petro.link(file)
    assert link.url.startswith(s3_endpoint)
    assert await petro.download(file) == PNG
    policy = (await empty_desk.http().get("/")).headers["content-security-policy"]
    assert f"connect-src 'self' ws: wss: {s3_endpoint};" in policy

    lie = await picture(oksana, conversation_id, HTML)
    short = await declare(oksana, conversation_id, size=len(PNG) + 1)
    await empty_desk.http().put(short.upload.url, content=PNG, headers=short.upload.headers)
    other = await declare(oksana, conversation_id, sha256="0" * 64)
    await empty_desk.http().put(other.upload.url, content=PNG, headers=other.upload.headers)
    for wrong in (lie, short.attachment_id, other.attachment_id):
        attempt = oksana.send(conversation_id, "", attachments=[wrong])
        assert await refused(attempt) == "attachment.mismatch"

    await oksana.delete(conversation_id, sent.seq)

    async def empty() -> bool:
        keys = [row["key"] for row in await empty_desk.sql("SELECT key FROM realtime.attachments")]
        return [await storage.look(key) for key in keys] == [None] * 4

    await eventually(empty)


async def test_an_upload_is_what_was_declared(office: Desk) -> None:
    """Longer, shorter, of another type or hash: refused, nothing is kept, and it can come right."""
    oksana = await office.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    right = hashlib.sha256(PNG).hexdigest()
    made = await declare(oksana, conversation_id, sha256=right)

    assert await upload(office, made, PNG + b"x") == "limit.too_large"
    assert await upload(office, made, in_pieces(PNG + b"x")) == "limit.too_large"
    assert await upload(office, made, PNG[:-1]) == "file.size_differs"
    assert await upload(office, made, in_pieces(PNG[:-1])) == "file.size_differs"
    assert await upload(office, made, b"") == "file.size_differs"
    assert await upload(office, made, PNG[:-1] + b"x") == "attachment.mismatch"
    assert await upload(office, made, **{"Content-Type": "text/html"}) == "file.link_invalid"
    assert kept(office) == []
    unsent = oksana.send(conversation_id, "", attachments=[made.attachment_id])
    assert await refused(unsent) == "attachment.not_uploaded"

    assert await upload(office, made, in_pieces(PNG)) == ""
    assert await upload(office, made) == "file.exists"
    sent = await oksana.send(conversation_id, "", attachments=[made.attachment_id])

    assert (sent.seq, len(sent.attachments)) == (1, 1)
    assert await oksana.download(made.attachment_id) == PNG


async def test_a_page_that_calls_itself_a_picture_is_refused(office: Desk) -> None:
    """It is removed, its message takes no number, and it is as if it had never been."""
    oksana = await office.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    lie, truth = (
        await picture(oksana, conversation_id, HTML),
        await picture(oksana, conversation_id),
    )

    attempt = oksana.send(conversation_id, "look", attachments=[truth, lie])
    assert await refused(attempt) == "attachment.mismatch"
    again = oksana.send(conversation_id, "look", attachments=[truth, lie])
    assert await refused(again) == "attachment.not_found"

    await eventually(lambda: len(kept(office)) == 1)
    assert (await oksana.send(conversation_id, "look", attachments=[truth])).seq == 1


async def test_links_are_good_for_one_thing(office: Desk) -> None:
    """Not for another method or file, not made up, and not after their time."""
    oksana, http = await office.client(OKSANA), office.http()
    conversation_id = (await oksana.open(PETRO)).conversation.id
    first, second = [await declare(oksana, conversation_id) for _ in range(2)]
    said, _, signature = first.upload.url.partition(".")
    other = second.upload.url.partition(".")[0]

    for method, url in (
        ("GET", first.upload.url),
        ("PUT", f"{other}.{signature}"),
        ("PUT", f"{said}."),
        ("PUT", "/v1/files/x"),
        ("GET", "/v1/files/x.y"),
    ):
        answer = await http.request(method, url, headers=first.upload.headers)
        assert answer.json()["error"]["code"] == "file.link_invalid"
    assert (await http.delete(first.upload.url)).status_code == 405
    late = await office.start_node(
        files_dir=office.nodes[0].settings.files_dir, upload_link_s=10, download_link_s=10
    )
    late.node.services.files.require()._signer._now = lambda: 9e9  # type: ignore[attr-defined]
    made = await office.http(node=1).put(first.upload.url, content=PNG)
    assert made.json()["error"]["code"] == "file.link_expired"
    assert kept(office) == []


async def test_only_ones_own_files_of_this_conversation_can_be_sent(office: Desk) -> None:
    """Somebody else's, another conversation's and one that never was answer the same."""
    oksana, petro = await office.client(OKSANA), await office.client(PETRO)
    here = (await oksana.open(PETRO)).conversation.id
    there = (await oksana.open(IRYNA)).conversation.id
    mine = await picture(oksana, here)
    elsewhere, theirs = await picture(oksana, there), await picture(petro, here)
    bare: Any = "1"

    for ids, code in (
        ([elsewhere], "attachment.not_found"),
        ([theirs], "attachment.not_found"),
        ([mine, theirs], "attachment.not_found"),
        ([999_999], "attachment.not_found"),
        ([2**63 - 1], "attachment.not_found"),
        ([mine, mine], "command.invalid"),
        ([mine, *range(1_000, 1_010)], "attachment.too_many"),
        (list(range(1, 102)), "command.invalid"),
        ([0], "command.invalid"),
        ([bare], "command.invalid"),
    ):
        assert await refused(oksana.send(here, "x", attachments=ids)) == code
    for text in ("", None):
        nothing: Any = MessageSend(conversation_id=here, client_key=uuid.uuid4(), text=text)  # type: ignore[arg-type]
        assert await refused(oksana.request(nothing)) == "command.invalid"

    sent = await oksana.send(here, "x", attachments=[mine])
    assert (sent.seq, sent.change) == (1, 2)


async def test_who_is_not_there_declares_and_reads_nothing(office: Desk) -> None:
    """A stranger's answer is that of no conversation and no file; so is who left, at once."""
    oksana, petro, stranger = [await office.client(one) for one in (OKSANA, PETRO, 4)]
    command = ConversationCreate(title="Room", employee_ids=[PETRO])
    room = (await oksana.request(command)).conversation.id
    file = await picture(oksana, room)
    unsent = await picture(petro, room)

    assert await refused(petro.link(file)) == "attachment.not_found"  # not sent yet
    await oksana.send(room, "", attachments=[file])
    assert (await petro.link(file)).size == len(PNG)
    for room_id in (room, 999_999):
        assert await refused(declare(stranger, room_id)) == "conversation.not_found"
        attempt = stranger.send(room_id, "", attachments=[file])
        assert await refused(attempt) == "conversation.not_found"
    for file_id in (file, 999_999):
        assert await refused(stranger.link(file_id)) == "attachment.not_found"

    await office.http(PETRO).post(f"/v1/messenger/conversations/{room}/leave")

    assert await refused(petro.link(file)) == "attachment.not_found"
    assert await refused(declare(petro, room)) == "conversation.not_found"
    attempt = petro.send(room, "", attachments=[unsent])
    assert await refused(attempt) == "conversation.not_found"
    await office.sql("UPDATE realtime.conversations SET history = 'joined', closed_at = now()")
    await office.sql(
        """
        INSERT INTO realtime.conversation_participants
               (conversation_id, employee_id, change, joined_seq)
        VALUES ($1, 4, 9, 5)
        """,
        room,
    )
    assert await refused(stranger.link(file)) == "attachment.not_found"
    assert await refused(declare(oksana, room)) == "conversation.closed"


async def test_a_file_is_part_of_one_message(office: Desk) -> None:
    """Of many who send it at once one wins; the others take no number, and say nothing."""
    oksana, phone = await office.client(OKSANA), await office.client(OKSANA)
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


async def test_a_retry_gets_the_first_message(office: Desk) -> None:
    """Eight at once with one key are one message; with other files the key is refused."""
    oksana, petro = await office.client(OKSANA), await office.client(PETRO)
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
    await eventually(lambda: len(kept(office)) == 1)
    assert await oksana.send(conversation_id, "x", client_key=key, attachments=[file]) == deleted
    assert (await petro.next(MessageDeleted)).message.attachments == []


async def test_a_deleted_message_takes_its_files_along(office: Desk) -> None:
    """They are gone from the directory and for everybody; the other message's are not."""
    oksana, petro = await office.client(OKSANA), await office.client(PETRO)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    files = [await picture(oksana, conversation_id) for _ in range(3)]
    await oksana.send(conversation_id, "", attachments=files[:2])
    await oksana.send(conversation_id, "", attachments=files[2:])
    link = await petro.link(files[0])
    assert len(kept(office)) == 3

    deleted = await oksana.delete(conversation_id, 1)

    assert deleted.attachments == []
    await eventually(lambda: len(kept(office)) == 1)
    assert await refused(petro.link(files[0])) == "attachment.not_found"
    answer = await office.http().get(link.url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file.not_found")
    assert await petro.download(files[2]) == PNG


async def test_what_nobody_wants_is_swept(office: Desk, tmp_path: Path) -> None:
    """Never sent, its conversation gone, its message too old; by any node, and then forgotten."""
    await office.start_node(files_dir=tmp_path / "files", file_sweep_s=0.05)
    oksana = await office.client(OKSANA)
    old = (await oksana.open(PETRO)).conversation.id
    gone = (await oksana.open(IRYNA)).conversation.id
    unsent, ancient, orphan, fresh = [await picture(oksana, room) for room in (old, old, gone, old)]
    waiting = await declare(oksana, old)
    await oksana.send(old, "", attachments=[ancient])
    await oksana.send(old, "", attachments=[fresh])
    await oksana.send(gone, "", attachments=[orphan])

    await office.sql(
        """
        UPDATE realtime.attachments SET due_at = now() - interval '1 s',
               created_at = now() - interval '2 days'
         WHERE id = ANY ($1)
        """,
        [unsent, ancient, orphan, waiting.attachment_id],
    )
    await office.sql("DELETE FROM realtime.conversations WHERE id = $1", gone)
    await office.sql("UPDATE realtime.conversation_participants SET last_read_seq = 9")
    await office.sql(
        "UPDATE realtime.messages SET created_at = now() - interval '31 days' WHERE seq = 1"
    )
    assert await retention.sweep(office.nodes[0].node.services, 30) == 1

    async def left() -> bool:
        rows = await office.sql("SELECT id FROM realtime.attachments")
        return [row["id"] for row in rows] == [fresh]

    await eventually(left)
    assert len(kept(office)) == 1
    attempt = oksana.send(old, "", attachments=[waiting.attachment_id])
    assert await refused(attempt) == "attachment.not_found"


async def test_bytes_that_come_again_are_removed_again(office: Desk) -> None:
    """While its upload's link is good a removed file is remembered, and looked at once more."""
    oksana = await office.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    made = await declare(oksana, conversation_id)
    await upload(office, made)
    await oksana.send(conversation_id, "", attachments=[made.attachment_id])
    await oksana.delete(conversation_id, 1)
    counts = office.nodes[0].app.state.gateway.services.files.counts
    await eventually(lambda: counts.removed)  # it is noted, too, that the bytes are gone
    assert not kept(office)

    assert await upload(office, made) == ""
    await office.sql(
        "UPDATE realtime.attachments SET created_at = now() - interval '1 day', due_at = now()"
    )

    await eventually(lambda: not kept(office))

    async def forgotten() -> bool:
        return not await office.sql("SELECT FROM realtime.attachments")

    await eventually(forgotten)


async def test_names_and_types_of_every_kind(office: Desk) -> None:
    """What a file may be called is kept as it is; what could deceive or escape is refused."""
    oksana = await office.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    good = ["звіт №5.png", "😀.png", "שלום.png", 'a"b%c;d.png', ".hidden", "x" * 255, "я" * 127]
    bad = [
        "", ".", "..", "../x.png", "a/b.png", "a\\b.png", "a\x00.png", "a\nb.png", "a\x1b.png",
        "photo\u202egpj.exe", "x\u2066y", " a.png", "a.png ", "x" * 256, "я" * 128, "a\x85b",
    ]  # fmt: skip

    for name in bad:
        assert await refused(declare(oksana, conversation_id, name=name)) == "command.invalid"
    for content_type in ("", "png", "image/", "Image/PNG", "image/png; a=b", "a/b/c", "x/y\n"):
        attempt = declare(oksana, conversation_id, content_type=content_type)
        assert await refused(attempt) == "command.invalid"
    for content_type in ("text/html", "application/x-msdownload", "application/javascript"):
        attempt = declare(oksana, conversation_id, content_type=content_type)
        assert await refused(attempt) == "attachment.type_refused"
    ids = [await oksana.upload(conversation_id, name, "image/png", PNG) for name in good]
    sent = await oksana.send(conversation_id, "", attachments=ids)

    assert [file.name for file in sent.attachments] == good
    for file in ids:
        link = await oksana.link(file)
        answer = await office.http().get(link.url)
        assert (answer.status_code, answer.content) == (200, PNG)
        assert answer.headers["content-disposition"].startswith("inline; filename=")


async def test_sizes_have_bounds(empty_desk: Desk, tmp_path: Path) -> None:
    """None is too few; beyond the largest file, and beyond what may wait unsent, it is refused."""
    await empty_desk.start_node(
        files_dir=tmp_path, max_file_bytes=10_000, max_pending_file_bytes=25_000, max_files=2
    )
    oksana = await empty_desk.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    text = {"content_type": "text/plain", "name": "a.txt"}

    for size in (0, -1, 2**63, True, "1", 1.5):
        assert await refused(declare(oksana, conversation_id, size=size)) == "command.invalid"
    attempt = declare(oksana, conversation_id, size=10_001)
    assert await refused(attempt) == "attachment.too_large"
    done = await asyncio.gather(
        *(declare(oksana, conversation_id, size=10_000, **text) for _ in range(6)),
        return_exceptions=True,
    )
    made = [one for one in done if isinstance(one, AttachmentCreated)]
    assert len(made) == 2
    attempt = declare(oksana, conversation_id, size=5_001)
    assert await refused(attempt) == "attachment.too_much_pending"
    ids = [one.attachment_id for one in made]
    for one in made:
        assert await upload(empty_desk, one, b"x" * 10_000) == ""
    too_many = oksana.send(conversation_id, "", attachments=[*ids, 3])
    assert await refused(too_many) == "attachment.too_many"
    await oksana.send(conversation_id, "", attachments=ids)
    await declare(oksana, conversation_id, size=10_000)
    figures = (await empty_desk.http().get("/metrics")).text
    assert 'gateway_files_refused_total{code="attachment.too_much_pending"} 5.0' in figures


async def test_files_over_http(office: Desk) -> None:
    """Declared, sent and asked for by REST; served whole, in parts, and so that nothing runs."""
    oksana, http = await office.client(OKSANA), office.http(OKSANA)
    room = f"/v1/messenger/conversations/{(await oksana.open(PETRO)).conversation.id}"
    ids = []
    for name, content_type, data in (
        ("a.png", "image/png", PNG),
        ("a.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("a.pdf", "application/pdf", b"%PDF-1.7\n" + bytes(range(128, 256))),
    ):
        fields = {"name": name, "content_type": content_type, "size": len(data)}
        made = await http.post(f"{room}/attachments", json=fields)
        assert made.status_code == 201
        said = made.json()
        headers = said["upload"]["headers"]
        answer = await http.put(said["upload"]["url"], content=data, headers=headers)
        assert answer.json() == {"size": len(data)}
        ids.append(said["attachment_id"])
    body = {"client_key": str(uuid.uuid4()), "attachments": ids}
    assert (await http.post(f"{room}/messages", json=body)).status_code == 201
    shown, drawn, paged = [f"/v1/messenger/attachments/{one}" for one in ids]

    moved = await http.get(shown)
    assert moved.status_code == 307
    for asked in (
        await http.get(shown, headers={"Accept": "application/json"}),
        await http.get(shown, params={"redirect": "false"}),
    ):
        assert asked.json()["size"] == len(PNG)
    url = moved.headers["location"]
    whole = await office.http().get(url)
    assert (whole.content, whole.headers["content-type"]) == (PNG, "image/png")
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in whole.headers["content-security-policy"]
    part = await http.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, PNG[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(PNG)}"
    assert (await http.get(url, headers={"Range": f"bytes={len(PNG)}-"})).status_code == 416
    again = await http.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    peeked = await http.head(url)
    assert (peeked.headers["content-length"], peeked.content) == (str(len(PNG)), b"")
    drawing = await http.get((await http.get(drawn)).headers["location"])
    assert drawing.headers["content-disposition"].startswith("attachment; ")
    paper = await http.get((await http.get(paged)).headers["location"])
    assert paper.headers["content-disposition"].startswith("inline; ")
    assert "sandbox" not in paper.headers["content-security-policy"]
    assert (await office.http().get(shown)).status_code == 401
    stranger = await office.http(4).get(shown)
    assert stranger.json()["error"]["code"] == "attachment.not_found"


async def test_without_a_place_there_are_no_attachments(small_desk: Desk) -> None:
    """Declaring, sending and reading say so; messages are as they were."""
    oksana = await small_desk.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id

    assert await refused(declare(oksana, conversation_id)) == "attachment.off"
    assert await refused(oksana.link(1)) == "attachment.off"
    assert await refused(oksana.send(conversation_id, "", attachments=[1])) == "attachment.off"
    assert (await small_desk.http().put("/v1/files/x.y", content=b"x")).status_code == 404
    assert (await oksana.send(conversation_id, "text")).attachments == []
