"""Opens the file storage that the settings choose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.files.local import LocalStorage
from gateway.files.signing import Signer
from gateway.files.storage import Storage


class StorageUnusable(Exception):
    """The chosen storage cannot be used; the message gives the reason."""


@asynccontextmanager
async def open_storage(
    *,
    directory: Path | None = None,
    secret: str = "",
    accepted_secrets: Iterable[str] = (),
    public_url: str | None = None,
    bucket: str | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    prefix: str = "",
    path_style: bool = False,
    access_key: str | None = None,
    secret_key: str | None = None,
) -> AsyncIterator[Storage | None]:
    """Open the bucket or the directory; None when neither is given."""
    if directory is not None:
        yield _in_directory(directory, Signer(secret, accepted=accepted_secrets), public_url)
        return
    if bucket is None:
        yield None
        return
    try:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - an extra

        from gateway.files.s3 import S3Storage  # noqa: PLC0415
    except ImportError:
        raise StorageUnusable(
            "A bucket needs the extra `s3`: pip install 'crm-gateway[s3]'."
        ) from None
    try:
        storage = await asyncio.to_thread(  # botocore takes 0.2 s to read its service descriptions
            S3Storage,
            bucket,
            endpoint=endpoint,
            region=region,
            prefix=prefix,
            path_style=path_style,
            access_key=access_key,
            secret_key=secret_key,
        )
    except (ValueError, OSError, BotoCoreError) as error:
        raise StorageUnusable(f"The bucket {bucket} cannot be used: {error}") from error
    try:
        yield storage
    finally:
        await storage.aclose()


def _in_directory(directory: Path, signer: Signer, public_url: str | None) -> LocalStorage:
    try:
        return LocalStorage(directory, signer, base_url=public_url or "")
    except OSError as error:
        raise StorageUnusable(
            f"Files cannot be stored in {directory}: {error.strerror}."
        ) from error
