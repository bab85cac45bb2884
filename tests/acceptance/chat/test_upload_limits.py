"""Uploads that run at the same time, or hardly at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.client import RequestRefused, transfer
from gateway.errors import TooSlow, UploadRunning
from gateway.files import arrival
from gateway.files.file_lock import FileLock
from gateway.protocol import AttachmentCreated
from gateway.rest import files
from tests.support.attachments import PNG, declare, kept, upload
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, employee, eventually


class Held:
    """The bytes of an upload, of which the last come when the test says so."""

    def __init__(self, data: bytes = PNG) -> None:
        self.go_on = asyncio.Event()
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data[:100]
        await self.go_on.wait()
        yield self._data[100:]


def locks(desk: Desk) -> list[Path]:
    return [path for path in kept(desk) if path.suffix == ".lock"]


async def begun(desk: Desk, made: AttachmentCreated, count: int) -> tuple[Held, Any]:
    """Begin an upload that then waits, as one of so many that are under way."""
    body = Held()
    running = asyncio.create_task(upload(desk, made, body))
    await eventually(lambda: len(locks(desk)) == count)
    return body, running


async def test_one_request_at_a_time_uploads_a_file(
    file_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others, on any node, are told to wait and write nothing; after its end the file exists."""
    monkeypatch.setattr(arrival, "SILENT_S", 60.0)
    await file_desk.start_node(files_dir=file_desk.nodes[0].settings.files_dir)
    oksana = await file_desk.client(OKSANA)
    made = await declare(oksana, (await oksana.open(PETRO)).conversation.id)
    body, running = await begun(file_desk, made, 1)
    await eventually(lambda: len(kept(file_desk)) == 2)  # the lock, and what has come

    answers = await asyncio.gather(
        *(
            file_desk.http(node=number % 2).put(
                made.upload.url, content=PNG, headers=made.upload.headers
            )
            for number in range(30)
        )
    )

    assert {answer.status_code for answer in answers} == {409}
    assert {answer.json()["error"]["code"] for answer in answers} == {"file.upload_running"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert len(kept(file_desk)) == 2
    body.go_on.set()
    assert await running == ""
    assert await upload(file_desk, made) == "file.exists"
    assert locks(file_desk) == []


async def test_an_upload_that_breaks_off_can_be_sent_again(file_desk: Desk) -> None:
    """The lock ends with the connection."""
    oksana = await file_desk.client(OKSANA)
    made = await declare(oksana, (await oksana.open(PETRO)).conversation.id)
    _, running = await begun(file_desk, made, 1)

    running.cancel()
    await eventually(lambda: locks(file_desk) == [])

    assert await upload(file_desk, made) == ""


async def test_a_silent_upload_makes_room_for_its_repetition(
    file_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client may send again, to any node, while the old connection still looks alive."""
    monkeypatch.setattr(arrival, "SILENT_S", 0.1)
    monkeypatch.setattr(UploadRunning, "retry_after", 0.05)
    await file_desk.start_node(files_dir=file_desk.nodes[0].settings.files_dir)
    oksana = await file_desk.client(OKSANA)
    made = await declare(oksana, (await oksana.open(PETRO)).conversation.id)
    body, running = await begun(file_desk, made, 1)

    await transfer.put(file_desk.nodes[1].socket_url, made.upload, PNG)

    assert file_desk.nodes[1].node.services.files.counts.refused["file.upload_running"] >= 1
    refused = file_desk.nodes[0].node.services.files.counts.refused
    await eventually(lambda: refused["limit.too_slow"] == 1)
    body.go_on.set()
    with contextlib.suppress(httpx2.TransportError):
        assert await running == "limit.too_slow"
    assert locks(file_desk) == []
    assert len(kept(file_desk)) == 1


async def test_a_client_waits_for_an_upload_that_is_under_way(
    file_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is told to; that the file then exists is no error."""
    monkeypatch.setattr(arrival, "SILENT_S", 60.0)
    monkeypatch.setattr(transfer, "WAITS", 1_000_000)
    monkeypatch.setattr(UploadRunning, "retry_after", 0.01)
    oksana = await file_desk.client(OKSANA)
    made = await declare(oksana, (await oksana.open(PETRO)).conversation.id)
    body, running = await begun(file_desk, made, 1)
    node = file_desk.nodes[0]
    refused = node.node.services.files.counts.refused

    waiting = asyncio.create_task(transfer.put(node.socket_url, made.upload, PNG))
    await eventually(lambda: refused["file.upload_running"] > 5)
    body.go_on.set()

    assert await running == ""
    await waiting
    monkeypatch.setattr(transfer, "WAITS", 2)
    other = await declare(oksana, (await oksana.open(PETRO)).conversation.id)
    body, running = await begun(file_desk, other, 1)
    with pytest.raises(RequestRefused, match=r"file\.upload_running"):
        await transfer.put(node.socket_url, other.upload, PNG)
    body.go_on.set()
    assert await running == ""


async def test_an_upload_that_trickles_is_ended(
    empty_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its first time it must have brought so many bytes a second, however it pauses."""
    monkeypatch.setattr(files, "UPLOAD_GRACE_S", 0.3)
    node = await empty_desk.start_node(
        files_dir=tmp_path / "files", upload_min_bytes_per_s=20_000, body_s=5.0
    )
    oksana = await empty_desk.client(OKSANA)
    conversation_id = (await oksana.open(PETRO)).conversation.id
    made = await declare(oksana, conversation_id, size=1_000_000)

    async def trickling() -> AsyncIterator[bytes]:
        yield PNG
        while True:
            await asyncio.sleep(0.02)
            yield b"x"

    with contextlib.suppress(httpx2.TransportError):  # cut while we send: also an answer
        assert await upload(empty_desk, made, trickling()) == "limit.too_slow"
    assert node.node.services.files.counts.refused["limit.too_slow"] == 1
    assert kept(empty_desk) == []
    assert node.node.services.files.under_way.total == 0
    assert await upload(empty_desk, made, PNG + bytes(1_000_000 - len(PNG))) == ""


async def test_bytes_under_way_are_bounded(empty_desk: Desk, tmp_path: Path) -> None:
    """For one user, and for all; a refused one is sent when there is room again."""
    size = len(PNG)
    node = await empty_desk.start_node(
        files_dir=tmp_path / "files", uploading_bytes=2 * size, uploading_total_bytes=3 * size
    )
    made = {}
    for employee_id, colleague, count in (
        (OKSANA, PETRO, 3),
        (PETRO, IRYNA, 1),
        (IRYNA, employee(4), 1),
    ):
        client = await empty_desk.client(employee_id)
        conversation_id = (await client.open(colleague)).conversation.id
        made[employee_id] = [await declare(client, conversation_id) for _ in range(count)]
    first, running = await begun(empty_desk, made[OKSANA][0], 1)
    others = [await begun(empty_desk, made[OKSANA][1], 2)]

    assert await upload(empty_desk, made[OKSANA][2]) == "file.too_many_uploads"
    others.append(await begun(empty_desk, made[PETRO][0], 3))
    assert await upload(empty_desk, made[IRYNA][0]) == "file.too_many_uploads"
    assert node.node.services.files.under_way.total == 3 * size

    first.go_on.set()
    assert await running == ""
    assert await upload(empty_desk, made[OKSANA][2]) == ""
    assert await upload(empty_desk, made[IRYNA][0]) == ""
    for body, uploading in others:
        body.go_on.set()
        assert await uploading == ""


def test_a_lock_is_not_taken_on_a_file_that_its_holder_removed(tmp_path: Path) -> None:
    """Who opened it before the end of its holder, and locks it afterwards, holds nothing."""
    first, second, third = (FileLock(tmp_path / "one.lock") for _ in range(3))
    assert first.acquire()
    assert not second.acquire()
    with pytest.MonkeyPatch.context() as patched:
        opened: list[int] = []

        def released_meanwhile(file: int, _how: int) -> None:
            opened.append(file)
            first.release()

        patched.setattr("gateway.files.file_lock.fcntl.flock", released_meanwhile)
        assert not second.acquire()

    assert opened
    assert third.acquire()
    third.release()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_who_does_not_get_a_lock_is_noticed(tmp_path: Path) -> None:
    """By its holder, whoever asked; what was left of an earlier holder says nothing."""
    path = tmp_path / "one.lock"
    path.write_bytes(b"1")  # a crash
    holder, other = FileLock(path), FileLock(path)
    assert holder.acquire()
    assert not holder.wanted()

    assert not other.acquire()

    assert holder.wanted()
    assert not other.wanted()
    holder.release()
    assert not holder.wanted()
    assert other.acquire()
    assert not other.wanted()
    other.release()


async def test_an_upload_ends_only_when_its_client_is_silent_and_another_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not while nobody else wants it, and not while the server writes, however long that takes."""
    monkeypatch.setattr(arrival, "SILENT_S", 0.02)
    lock, other = FileLock(tmp_path / "one.lock"), FileLock(tmp_path / "one.lock")
    assert lock.acquire()
    looked, asked = 0, 0
    silent_s, wanted = arrival.Pieces.silent_s, FileLock.wanted

    def looking(pieces: arrival.Pieces) -> float:
        nonlocal looked
        looked += 1
        return silent_s(pieces)

    def asking(one: FileLock) -> bool:
        nonlocal asked
        asked += 1
        return wanted(one)

    monkeypatch.setattr(arrival.Pieces, "silent_s", looking)
    monkeypatch.setattr(FileLock, "wanted", asking)

    async def coming() -> AsyncIterator[bytes]:
        await eventually(lambda: asked > 2)
        assert not other.acquire()
        yield b"written slowly"
        await asyncio.Event().wait()

    arrived = []

    async def receive() -> None:
        async with arrival.arriving(coming(), lock) as pieces:
            async for piece in pieces:
                enough = looked + 5
                await eventually(lambda: looked > enough)  # noqa: B023
                arrived.append(piece)

    with pytest.raises(TooSlow):
        await receive()
    lock.release()

    assert arrived == [b"written slowly"]
