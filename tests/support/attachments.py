"""Files in tests of messages: declare them, upload them, sample data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gateway.client import Connection
from gateway.protocol import (
    AttachmentCreate,
    AttachmentCreated,
)
from tests.support.desk import Desk

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 20
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"


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
