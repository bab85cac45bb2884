"""Uploads and downloads of files over HTTP, by the links that the gateway gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urljoin

import httpx2
import orjson

from gateway.client.errors import RequestRefused, refusal
from gateway.protocol import Upload

Body: TypeAlias = bytes | Path
CHUNK_BYTES = 256 * 1024
TIMEOUT_S = 30.0
PAUSE_S = 1.0
UNDER_WAY = frozenset({"file.upload_running", "file.too_many_uploads"})
WAITS = 15
"""30 s for another upload's end: a server gives a broken one up after 10 s."""


def size_of(data: Body) -> int:
    """Return the size in bytes."""
    return data.stat().st_size if isinstance(data, Path) else len(data)


async def put(socket_url: str, upload: Upload, data: Body) -> None:
    """Upload a declared file, after uploads that are under way. Raises RequestRefused."""
    for wait in range(WAITS + 1):
        try:
            await _put_once(socket_url, upload, data)
        except RequestRefused as refused:
            if wait and refused.code == "file.exists":
                return  # the one that was under way stored it
            if refused.code not in UNDER_WAY or wait == WAITS:
                raise
            await asyncio.sleep(refused.retry_after or PAUSE_S)
        else:
            return


async def _put_once(socket_url: str, upload: Upload, data: Body) -> None:
    headers = {**upload.headers, "Content-Length": str(size_of(data))}
    content = _chunks(data) if isinstance(data, Path) else data
    async with _client() as http:
        response = await http.put(
            _absolute(socket_url, upload.url), content=content, headers=headers
        )
    _require_success(response)


async def get(socket_url: str, url: str) -> bytes:
    """Download what a link names. Raises RequestRefused."""
    async with _client() as http:
        response = await http.get(_absolute(socket_url, url))
    _require_success(response)
    return response.content


def _absolute(socket_url: str, url: str) -> str:
    """Return the whole URL of a link: a path belongs to the gateway's own address."""
    return urljoin(socket_url.replace("ws", "http", 1), url)


def _client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(timeout=TIMEOUT_S)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


def _require_success(response: httpx2.Response) -> None:
    if response.is_success:
        return
    try:
        raise refusal(orjson.loads(response.content)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):  # a bucket answers in XML
        raise RequestRefused(
            "file.refused", f"The storage answered {response.status_code}."
        ) from None
