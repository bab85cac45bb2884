"""Files in messages: declared, uploaded, sent, read, and refused."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from pathlib import Path
from typing import Any

from gateway.protocol import (
    Attachment,
    AttachmentCreated,
    ConversationCreate,
    ConversationList,
    FileLimits,
    MessageCreated,
    MessageSearch,
    MessageSend,
)
from tests.support.attachments import (
    HTML,
    PNG,
    declare,
    in_pieces,
    kept,
    picture,
    upload,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, employee, eventually, refused

pytest_plugins = ["tests.support.buckets"]


async def test_a_file_goes_from_one_node_to_the_other(file_desk: Desk, tmp_path: Path) -> None:
    """Everybody hears of it with its message; it is in history, in search, and behind its link."""
    await file_desk.start_node(files_dir=tmp_path / "files")
    oksana, petro = await file_desk.client(OKSANA), await file_desk.client(PETRO, node=1)
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
    newly = (await file_desk.client(PETRO)).welcome.conversations
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
    metrics = (await file_desk.http(node=0).get("/metrics")).text
    assert f"gateway_file_bytes_in_total {2 * len(PNG) + 400_000:.1f}" in metrics


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
    host = f"127.0.0.1:{empty_desk.nodes[0].port}"
    assert f"connect-src 'self' ws://{host} wss://{host} {s3_endpoint};" in policy

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
        return [await storage.inspect(key) for key in keys] == [None] * 4

    await eventually(empty)


async def test_an_upload_is_what_was_declared(file_desk: Desk) -> None:
    """Longer, shorter, of another type or hash: refused, nothing is kept, and it can come right."""
    oksana = await file_desk.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    right = hashlib.sha256(PNG).hexdigest()
    made = await declare(oksana, conversation_id, sha256=right)

    assert await upload(file_desk, made, PNG + b"x") == "limit.too_large"
    assert await upload(file_desk, made, in_pieces(PNG + b"x")) == "limit.too_large"
    assert await upload(file_desk, made, PNG[:-1]) == "file.size_differs"
    assert await upload(file_desk, made, in_pieces(PNG[:-1])) == "file.size_differs"
    assert await upload(file_desk, made, b"") == "file.size_differs"
    assert await upload(file_desk, made, PNG[:-1] + b"x") == "attachment.mismatch"
    assert await upload(file_desk, made, **{"Content-Type": "text/html"}) == "file.link_invalid"
    assert kept(file_desk) == []
    unsent = oksana.send(conversation_id, "", attachments=[made.attachment_id])
    assert await refused(unsent) == "attachment.not_uploaded"

    assert await upload(file_desk, made, in_pieces(PNG)) == ""
    assert await upload(file_desk, made) == "file.exists"
    sent = await oksana.send(conversation_id, "", attachments=[made.attachment_id])

    assert (sent.seq, len(sent.attachments)) == (1, 1)
    assert await oksana.download(made.attachment_id) == PNG


async def test_a_page_that_calls_itself_a_picture_is_refused(file_desk: Desk) -> None:
    """It is removed, its message takes no number, and it is as if it had never been."""
    oksana = await file_desk.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    lie, truth = (
        await picture(oksana, conversation_id, HTML),
        await picture(oksana, conversation_id),
    )

    attempt = oksana.send(conversation_id, "look", attachments=[truth, lie])
    assert await refused(attempt) == "attachment.mismatch"
    again = oksana.send(conversation_id, "look", attachments=[truth, lie])
    assert await refused(again) == "attachment.not_found"

    await eventually(lambda: len(kept(file_desk)) == 1)
    assert (await oksana.send(conversation_id, "look", attachments=[truth])).seq == 1


async def test_links_are_good_for_one_thing(file_desk: Desk) -> None:
    """Not for another method or file, not made up, and not after their time."""
    oksana, http = await file_desk.client(OKSANA), file_desk.http()
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
    late = await file_desk.start_node(
        files_dir=file_desk.nodes[0].settings.files_dir, upload_link_s=10, download_link_s=10
    )
    late.node.services.files.require()._signer._now = lambda: 9e9  # type: ignore[attr-defined]
    made = await file_desk.http(node=1).put(first.upload.url, content=PNG)
    assert made.json()["error"]["code"] == "file.link_expired"
    assert kept(file_desk) == []


async def test_only_ones_own_files_of_this_conversation_can_be_sent(file_desk: Desk) -> None:
    """Somebody else's, another conversation's and one that never was answer the same."""
    oksana, petro = await file_desk.client(OKSANA), await file_desk.client(PETRO)
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


async def test_who_is_not_there_declares_and_reads_nothing(file_desk: Desk) -> None:
    """A stranger's answer is that of no conversation and no file; so is who left, at once."""
    oksana, petro, stranger = [await file_desk.client(one) for one in (OKSANA, PETRO, employee(4))]
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

    await file_desk.http(PETRO).post(f"/v1/messenger/conversations/{room}/leave")

    assert await refused(petro.link(file)) == "attachment.not_found"
    assert await refused(declare(petro, room)) == "conversation.not_found"
    attempt = petro.send(room, "", attachments=[unsent])
    assert await refused(attempt) == "conversation.not_found"
    await file_desk.sql("UPDATE realtime.conversations SET history = 'joined', closed_at = now()")
    await file_desk.sql(
        """
        INSERT INTO realtime.conversation_participants
               (conversation_id, employee_id, change, joined_seq)
        VALUES ($1, 4, 9, 5)
        """,
        room,
    )
    assert await refused(stranger.link(file)) == "attachment.not_found"
    assert await refused(declare(oksana, room)) == "conversation.closed"


async def test_names_and_types_of_every_kind(file_desk: Desk) -> None:
    """What a file may be called is kept as it is; what could deceive or escape is refused."""
    oksana = await file_desk.client(OKSANA)
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
        answer = await file_desk.http().get(link.url)
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
    metrics = (await empty_desk.http().get("/metrics")).text
    assert 'gateway_files_refused_total{code="attachment.too_much_pending"} 5.0' in metrics


async def test_files_over_http(file_desk: Desk) -> None:
    """Declared, sent and asked for by REST; served whole, in parts, and so that nothing runs."""
    oksana, http = await file_desk.client(OKSANA), file_desk.http(OKSANA)
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
    whole = await file_desk.http().get(url)
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
    assert (await file_desk.http().get(shown)).status_code == 401
    stranger = await file_desk.http(employee(4)).get(shown)
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
