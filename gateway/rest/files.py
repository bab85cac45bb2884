"""Files over HTTP: declared and requested with a token; uploaded and downloaded by signed links.

The links are answered here only when files are in a directory of ours; S3 answers its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from gateway import commands
from gateway.errors import (
    FileNotFound,
    GatewayError,
    LinkInvalid,
    NotFound,
    SizeDiffers,
    TooLarge,
    TooSlow,
)
from gateway.files import Files, Grant, LocalStorage, StoredFile, TransferCounts, disposition
from gateway.files.local import PATH
from gateway.protocol import (
    AttachmentCreate,
    AttachmentCreated,
    AttachmentGet,
    AttachmentLink,
)
from gateway.protocol.attachments import ContentType, FileName, Sha256, Size
from gateway.protocol.frame import frame
from gateway.rest.anonymous import identified
from gateway.rest.body_limit import discard
from gateway.rest.depends import Asking, RowId, StrictRoute, answer
from gateway.rest.errors import body as refusal
from gateway.rest.worker import parts_of

router = APIRouter(tags=["messenger"], route_class=StrictRoute)

UPLOAD_GRACE_S = 30
"""Seconds for which an upload may continue after its link has expired, and after which it must
have brought GATEWAY_UPLOAD_MIN_BYTES_PER_S."""
CACHED_S = 3_600
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; media-src 'self'; img-src 'self'; sandbox"
PDF_POLICY = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'"
"""For PDFs: browsers show them with a viewer of their own, which does not work in a sandbox."""


@frame
class AttachmentNew:
    """A file that will be uploaded."""

    name: FileName
    content_type: ContentType
    size: Size
    sha256: Sha256 | None = None


def origin(app: FastAPI) -> str | None:
    """Return the origin of links to files; None: the gateway itself."""
    gateway = getattr(app.state, "gateway", None)
    storage = gateway.services.files.storage if gateway is not None else None
    return storage.origin if storage is not None else None


@router.post(
    "/v1/messenger/conversations/{conversation_id}/attachments",
    response_model=AttachmentCreated,
    status_code=201,
)
async def declare(asking: Asking, conversation_id: RowId, body: AttachmentNew) -> Response:
    """Declare a file. The response has the link for the upload; then send it with a message."""
    command = AttachmentCreate(
        conversation_id=conversation_id,
        name=body.name,
        content_type=body.content_type,
        size=body.size,
        sha256=body.sha256,
    )
    return answer(await commands.run(asking, command), 201)


@router.get(
    "/v1/messenger/attachments/{attachment_id}",
    response_model=AttachmentLink,
    responses={307: {"description": "To the file, by a link for a short time"}},
)
async def read(
    request: Request,
    asking: Asking,
    attachment_id: RowId,
    redirect: Annotated[bool, Query(description="false: answer with the link instead")] = True,
) -> Response:
    """Redirect to a file of a message; with redirect=false or Accept: application/json its link."""
    link: AttachmentLink = await commands.run(asking, AttachmentGet(attachment_id=attachment_id))
    if not redirect or "application/json" in request.headers.get("accept", ""):
        return answer(link)
    return RedirectResponse(link.url, 307)


@router.put(PATH + "{token}", include_in_schema=False)
async def upload(request: Request, token: str) -> Response:
    """Store the bytes of a declared file: exactly these, once, while the link is valid."""
    files, coming = _files(request), _Upload(request)
    try:
        grant = _local(files).check_link(token, "PUT")
        identified(request.scope)
        with files.under_way.admitted(grant.name or grant.key, grant.size):
            await _receive(coming, _local(files), grant)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it
    except GatewayError as error:
        files.counts.refused[error.code] += 1
        if not coming.ended:
            await discard(request.receive)
        refused = refusal(error)
        refused.headers["Connection"] = "close"
        return refused
    files.counts.bytes_in += grant.size
    return answer({"size": grant.size})


class _Upload:
    """A request body as it arrives."""

    def __init__(self, request: Request) -> None:
        self.headers = request.headers
        self.ended = False
        self._receive = request.receive
        settings = parts_of(request).settings
        self._patience_s = settings.body_s
        self._bytes_per_s = settings.upload_min_bytes_per_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield its parts; TimeoutError when the client pauses for too long, or is too slow."""
        now, received = asyncio.get_running_loop().time, 0
        began = now()
        while not self.ended:
            slow_at = began + UPLOAD_GRACE_S + received / self._bytes_per_s
            async with asyncio.timeout_at(min(now() + self._patience_s, slow_at)):
                message = await self._receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            self.ended = not message.get("more_body", False)
            piece = message.get("body", b"")
            received += len(piece)
            yield piece


async def _receive(coming: _Upload, storage: LocalStorage, grant: Grant) -> None:
    said = coming.headers.get("content-length", "")
    if said.isdigit() and int(said) != grant.size:
        raise (TooLarge if int(said) > grant.size else SizeDiffers)(
            f"Exactly {grant.size} bytes were declared."
        )
    if coming.headers.get("content-type", "").lower() != grant.content_type:
        raise LinkInvalid(f"This link takes Content-Type: {grant.content_type} alone.")
    try:
        async with asyncio.timeout(grant.until + UPLOAD_GRACE_S - time.time()):
            await storage.take(grant, coming)
    except TimeoutError:
        raise TooSlow from None


@router.api_route(PATH + "{token}", methods=["GET", "HEAD"], include_in_schema=False)
async def download(request: Request, token: str) -> Response:
    """Return the bytes of a file, or a range of them, to a client with a valid link."""
    files = _files(request)
    storage = _local(files)
    grant = storage.check_link(token, request.method)
    identified(request.scope)
    held = await storage.hold(grant.key)
    if held is None:
        raise FileNotFound
    headers = _headers(grant)
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return _CountedFileResponse(held, grant, headers, files.counts)


def _headers(grant: Grant) -> dict[str, str]:
    is_pdf = grant.content_type == "application/pdf"
    return {
        "Content-Disposition": disposition(grant.name, grant.content_type),
        "Content-Security-Policy": PDF_POLICY if is_pdf else SANDBOX,
        "ETag": f'"{grant.key}"',  # what is under a key never changes
        "Cache-Control": f"private, max-age={CACHED_S}, immutable",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


class _CountedFileResponse(FileResponse):
    """A file response that counts its bytes."""

    def __init__(
        self, held: StoredFile, grant: Grant, headers: dict[str, str], counts: TransferCounts
    ) -> None:
        super().__init__(
            held.path, headers=headers, media_type=grant.content_type, stat_result=held.stat
        )
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting(message: Any) -> None:
            self._counts.bytes_out += len(message.get("body", b""))
            await send(message)

        await super().__call__(_without_unknown_units(scope), receive, counting)


def _without_unknown_units(scope: Scope) -> Scope:
    """Leave out a Range in a unit that is not bytes: it is ignored (RFC 9110, 14.2)."""
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if name != b"range" or value.partition(b"=")[0].strip().lower() == b"bytes"
    ]
    return {**scope, "headers": kept}


def _files(request: Request) -> Files:
    return parts_of(request).services.files


def _local(files: Files) -> LocalStorage:
    if not isinstance(files.storage, LocalStorage):
        raise NotFound
    return files.storage
