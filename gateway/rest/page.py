"""The files of the page, from memory: no thread and no look at the disk for each request.

rest ─▶ Page, mounted at / behind every route.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from gateway.rest.kept import Kept
from gateway.rest.methods import methods_of

WEB = Path(__file__).parent.parent / "web"
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""Suffix → type; a system's own table may say otherwise."""


class Page:
    """ASGI app that serves the files of a directory as they were at the start."""

    def __init__(self, directory: Path = WEB, *, reread: bool = False) -> None:
        """`reread` reads a changed file again, for those who work on the page."""
        self._directory = directory
        self._reread = reread
        self._files = {
            "/" + path.relative_to(directory).as_posix(): (_changed_ns(path), _read(path))
            for path in sorted(directory.rglob("*"))
            if path.suffix in TYPES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        file = self._find("/index.html" if path == "/" else path)
        if file is None and methods_of(scope["app"], dict(scope)):
            raise HTTPException(405)
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        if file is None:
            raise HTTPException(404)
        await file.respond(Request(scope))(scope, receive, send)

    def _find(self, path: str) -> Kept | None:
        changed_ns, file = self._files.get(path, (0, None))
        if self._reread and file is not None:
            found = self._directory / path[1:]
            now_ns = _changed_ns(found)
            if now_ns != changed_ns:
                file = _read(found)
                self._files[path] = now_ns, file
        return file


def _changed_ns(path: Path) -> int:
    return path.stat().st_mtime_ns


def _read(path: Path) -> Kept:
    return Kept.of(path.read_bytes(), f"{TYPES[path.suffix]}; charset=utf-8")
