"""The bytes of files: over HTTP, by the links that the gateway gives."""

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
PIECE = 256 * 1024
SILENCE_S = 30.0


def size_of(data: Body) -> int:
    """Return how many bytes there are."""
    return data.stat().st_size if isinstance(data, Path) else len(data)


async def put(socket_url: str, upload: Upload, data: Body) -> None:
    """Upload what was declared. Raises RequestRefused."""
    headers = {**upload.headers, "Content-Length": str(size_of(data))}
    content = _pieces(data) if isinstance(data, Path) else data
    async with _client() as http:
        answer = await http.put(_absolute(socket_url, upload.url), content=content, headers=headers)
    _require_done(answer)


async def get(socket_url: str, url: str) -> bytes:
    """Return what is behind a link. Raises RequestRefused."""
    async with _client() as http:
        answer = await http.get(_absolute(socket_url, url))
    _require_done(answer)
    return answer.content


def _absolute(socket_url: str, url: str) -> str:
    """Return where a link leads: a path is on the gateway's own address."""
    return urljoin(socket_url.replace("ws", "http", 1), url)


def _client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(timeout=SILENCE_S)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def _require_done(answer: httpx2.Response) -> None:
    if answer.is_success:
        return
    try:
        raise refusal(orjson.loads(answer.content)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):  # a bucket speaks XML
        raise RequestRefused(
            "file.refused", f"The storage answered {answer.status_code}."
        ) from None
