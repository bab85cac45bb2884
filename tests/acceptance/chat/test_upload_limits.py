"""Uploads that run at the same time, or hardly at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.files.file_lock import FileLock
from gateway.protocol import AttachmentCreated
from gateway.rest import files
from tests.support.attachments import PNG, declare, kept, upload
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually


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


async def test_one_request_at_a_time_uploads_a_file(file_desk: Desk) -> None:
    """Others, on any node, are told to wait and write nothing; after its end the file exists."""
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
    for employee_id, colleague, count in ((OKSANA, PETRO, 3), (PETRO, IRYNA, 1), (IRYNA, 4, 1)):
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
