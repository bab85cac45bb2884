"""The file storage of this gateway, its limits and its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Self

from gateway.errors import AttachmentsOff, AttachmentTooLarge, AttachmentTypeRefused
from gateway.files.storage import Storage
from gateway.files.uploads_under_way import UploadsUnderWay
from gateway.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of size, type and number of files, and lifetimes of links in seconds."""

    max_bytes: int = 25 * 1024 * 1024
    types: Sequence[str] = ("*/*",)
    per_message: int = 10
    pending_bytes: int = 256 * 1024 * 1024
    upload_s: int = 900
    link_s: int = 300
    unattached_s: int = 86_400
    uploading_bytes: int = 256 * 1024 * 1024
    uploading_total_bytes: int = 1024 * 1024 * 1024

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits of the settings."""
        return cls(
            max_bytes=settings.max_file_bytes,
            types=settings.file_types,
            per_message=settings.max_files,
            pending_bytes=settings.max_pending_file_bytes,
            upload_s=settings.upload_link_s,
            link_s=settings.download_link_s,
            unattached_s=settings.unattached_file_s,
            uploading_bytes=settings.uploading_bytes,
            uploading_total_bytes=settings.uploading_total_bytes,
        )

    def check(self, content_type: str, size: int) -> None:
        """Refuse a file that is too large or of a type that is not allowed."""
        if size > self.max_bytes:
            raise AttachmentTooLarge(f"At most {self.max_bytes} bytes.")
        if not any(fnmatchcase(content_type, pattern) for pattern in self.types):
            raise AttachmentTypeRefused


@dataclass(slots=True)
class TransferCounts:
    """Counters of this worker."""

    bytes_in: int = 0
    bytes_out: int = 0
    removed: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Files:
    """The storage, limits and counters that commands and routes use."""

    storage: Storage | None = None
    limits: Limits = field(default_factory=Limits)
    counts: TransferCounts = field(default_factory=TransferCounts)
    under_way: UploadsUnderWay = field(init=False)

    def __post_init__(self) -> None:
        self.under_way = UploadsUnderWay(
            per_uploader=self.limits.uploading_bytes, in_all=self.limits.uploading_total_bytes
        )

    def require(self) -> Storage:
        """Return the storage; AttachmentsOff when there is none."""
        if self.storage is None:
            raise AttachmentsOff
        return self.storage
