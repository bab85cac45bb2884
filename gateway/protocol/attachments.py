"""Files on the wire: first declared, then uploaded over HTTP, then sent with a message."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.protocol.declaration import command
from gateway.protocol.frame import MAX_INT, Id, check_line, frame

MAX_NAME = 255
MAX_NAME_BYTES = 255
"""Bytes in UTF-8: the limit of file systems, so that a downloaded file can have its name."""
MAX_ATTACHMENTS = 100


def _check_file_name(value: str) -> str:
    check_line(value)
    if "/" in value or "\\" in value:
        raise ValueError("must not contain / or \\")
    if value.strip() != value or value in {".", ".."}:
        raise ValueError("must be a file name without surrounding spaces")
    if len(value.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"must have at most {MAX_NAME_BYTES} bytes in UTF-8")
    return value


FileName = Annotated[
    str, Field(strict=True, min_length=1, max_length=MAX_NAME), AfterValidator(_check_file_name)
]
TOKEN = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"  # noqa: S105 - RFC 6838, 4.2
ContentType = Annotated[str, Field(strict=True, max_length=255, pattern=rf"^{TOKEN}/{TOKEN}$")]
"""Lower case and without parameters: `image/png`."""
Size = Annotated[int, Field(strict=True, ge=1, le=MAX_INT)]
Sha256 = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]
AttachmentIds = Annotated[list[Id], Field(max_length=MAX_ATTACHMENTS)]


@frame
class Attachment:
    """A file of a message, as every participant sees it."""

    attachment_id: Id
    name: str
    """The file name on the sender's device; never a path."""
    content_type: str
    size: int
    """Bytes."""


@frame
class FileLimits:
    """Limits for files on this gateway; a client checks them before it uploads."""

    max_bytes: int
    """Of one file."""
    per_message: int
    types: list[str]
    """Content types that are accepted, as patterns such as `image/*`."""


@frame
class AttachmentCreated:
    """Reply to attachment.create: upload the file, then pass its id to message.send."""

    attachment_id: Id
    upload: Upload


@command(reply=AttachmentCreated, cost="write", repeatable=False)
class AttachmentCreate:
    """Client → server: declare a file that will be uploaded for a message of this conversation."""

    type: Literal["attachment.create"] = "attachment.create"
    conversation_id: Id
    name: FileName
    content_type: ContentType
    size: Size
    """Bytes; an upload of another length is refused."""
    sha256: Sha256 | None = None
    """SHA-256 of the content in hex; when given, the upload is checked against it."""


@frame
class Upload:
    """The HTTP request that uploads the content."""

    method: str
    """PUT."""
    url: str
    """The target; a path is relative to the gateway's own address. Anybody with the URL can
    upload: do not share it."""
    headers: dict[str, str]
    """Headers to send, in addition to those that HTTP needs."""
    expires_at: datetime


@frame
class AttachmentLink:
    """Reply to attachment.get: a link that is valid for a short time and needs no token."""

    attachment_id: Id
    name: str
    content_type: str
    size: int
    url: str
    """A path is relative to the gateway's own address. Anybody with the URL can read the file."""
    expires_at: datetime


@command(reply=AttachmentLink, cost="read")
class AttachmentGet:
    """Client → server: get a link for downloading a file."""

    type: Literal["attachment.get"] = "attachment.get"
    attachment_id: Id
