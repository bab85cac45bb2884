"""Files of every shape are taken; what is not known by its beginning is only saved, never shown."""

from __future__ import annotations

import pytest

from gateway.protocol import AttachmentGet
from tests.support.attachments import HTML, kept
from tests.support.desk import OKSANA, PETRO, Desk, eventually, refused

pytest_plugins = ["tests.support.buckets"]

SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
REST = bytes(range(256)) * 4
TAKEN = {
    "secret.xlsx": (SHEET, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + REST),
    "marked.pdf": ("application/pdf", b"\xef\xbb\xbf%PDF-1.4\n" + REST),
    "film.mp4": ("video/mp4", b"\x00\x00\x00\x1cftypiso5\x00\x00\x02\x00iso5iso6" + REST),
    "song.mp3": ("audio/mpeg", b"\xff\xf3\x40\xc4" + REST),
    "song2.mp3": ("audio/mpeg", b"\xff\xf2\x40\xc4" + REST),
}
UNKNOWN = b"\x01\x02\x03\x04" + bytes(range(128, 255)) * 4


@pytest.mark.parametrize("name", TAKEN)
async def test_a_file_is_taken_as_what_it_is(file_desk: Desk, name: str) -> None:
    """A workbook with a password, a PDF behind a mark, films of any brand, sounds without a tag."""
    oksana, petro = await file_desk.client(OKSANA), await file_desk.client(PETRO)
    room = (await oksana.open(PETRO)).conversation.id
    content_type, data = TAKEN[name]

    sent = await oksana.send(
        room, "", attachments=[await oksana.upload(room, name, content_type, data)]
    )

    assert [file.content_type for file in sent.attachments] == [content_type]
    assert await petro.download(sent.attachments[0].attachment_id) == data


@pytest.mark.parametrize("content_type", ["image/png", "audio/mpeg", "application/pdf", SHEET])
async def test_what_is_not_known_is_a_download(file_desk: Desk, content_type: str) -> None:
    """Everybody is told so; the answer has it saved, with no type to guess and nothing to run."""
    oksana, petro = await file_desk.client(OKSANA), await file_desk.client(PETRO)
    room = (await oksana.open(PETRO)).conversation.id

    file = await oksana.upload(room, "odd.bin", content_type, UNKNOWN)
    sent = await oksana.send(room, "", attachments=[file])

    assert [one.content_type for one in sent.attachments] == ["application/octet-stream"]
    assert (await petro.history(room)).messages == [sent]
    link = await petro.request(AttachmentGet(attachment_id=file))
    assert link.content_type == "application/octet-stream"
    answer = await file_desk.http().get(link.url)
    assert answer.content == UNKNOWN
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("content_type", ["application/pdf", "audio/mpeg", SHEET, "image/png"])
async def test_a_page_is_no_document(file_desk: Desk, content_type: str) -> None:
    """A page with a document's header inside is refused and removed."""
    oksana = await file_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id

    lie = await oksana.upload(
        room, "x", content_type, HTML + b"%PDF-1.4 \xff\xfb\x90\x64 PK\x03\x04"
    )

    assert await refused(oksana.send(room, "", attachments=[lie])) == "attachment.mismatch"
    await eventually(lambda: kept(file_desk) == [])


async def test_a_range_in_an_unknown_unit_is_ignored(file_desk: Desk) -> None:
    """The whole file, as without a range; bytes are given in any spelling of the unit."""
    oksana = await file_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    file = await oksana.upload(room, "a.pdf", "application/pdf", b"%PDF-1.4\n" + REST)
    await oksana.send(room, "", attachments=[file])
    url = (await oksana.request(AttachmentGet(attachment_id=file))).url

    for unit in ("items=0-1", "seconds=1-2", "items", "bytes-=0-1", "items=0-1,5-6", "=0-1"):
        answer = await file_desk.http().get(url, headers={"Range": unit})
        assert (answer.status_code, answer.content) == (200, b"%PDF-1.4\n" + REST), unit
    for unit in ("bytes=0-3", "Bytes=0-3", "BYTES =0-3"):
        answer = await file_desk.http().get(url, headers={"Range": unit})
        assert (answer.status_code, answer.content) == (206, b"%PDF"), unit
