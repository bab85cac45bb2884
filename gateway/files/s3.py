"""Files in a bucket: AWS S3, or a server with its protocol (MinIO, R2, Ceph, Garage …).

Clients use the bucket directly, with presigned requests; only first bytes, hashes and removals pass
through here. botocore implements all sources of credentials and all signatures; it blocks, so it
runs in a thread pool. It is the extra `s3`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import botocore.session
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from gateway.errors import StorageUnavailable
from gateway.files.serving import disposition
from gateway.files.storage import HEAD_BYTES, SignedLink, StoredObject

log = structlog.get_logger(__name__)

T = TypeVar("T")

THREADS = 8
CHUNK_BYTES = 1024 * 1024
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
EMPTY = frozenset({"416", "InvalidRange"})


class S3Storage:
    """Stores files in one bucket, below a prefix."""

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        prefix: str = "",
        path_style: bool = False,
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        """Without keys, botocore searches them in the environment, a profile and the role."""
        self._bucket = bucket
        self._prefix = prefix
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="s3")
        self._client: Any = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if path_style else "virtual"},
                connect_timeout=2,
                read_timeout=5,
                retries={"total_max_attempts": 2, "mode": "standard"},
                max_pool_connections=THREADS,
                # Servers other than AWS do not support checksums that are not required.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        self.origin: str | None = self._origin()

    async def upload_link(
        self,
        key: str,
        *,
        uploader: str,  # noqa: ARG002 - a bucket has its own limits
        size: int,
        content_type: str,
        sha256: str | None,  # noqa: ARG002 - checked by message.send: not every server can
        valid_s: int,
    ) -> SignedLink:
        parameters = {
            **self._named(key),
            "ContentType": content_type,
            "ContentLength": size,
            "IfNoneMatch": "*",  # so that nobody replaces a file that was verified
        }
        url = await self._presigned("put_object", parameters, valid_s)
        headers = {"Content-Type": content_type, "If-None-Match": "*"}
        return SignedLink(url, _in(valid_s), headers)

    async def download_link(
        self, key: str, *, name: str, content_type: str, valid_s: int
    ) -> SignedLink:
        parameters = {
            **self._named(key),
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition(name, content_type),
        }
        return SignedLink(await self._presigned("get_object", parameters, valid_s), _in(valid_s))

    async def inspect(self, key: str) -> StoredObject | None:
        return await self._call(self._inspect, key)

    async def sha256(self, key: str) -> str | None:
        return await self._call(self._sha256, key)

    async def delete(self, key: str) -> None:
        await self._call(self._delete, key)

    async def tidy(self) -> int:
        """Return 0: an incomplete upload is not in the bucket."""
        return 0

    async def aclose(self) -> None:
        """Close connections and threads."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._client.close()

    # --- in a thread -------------------------------------------------------------------------

    def _inspect(self, key: str) -> StoredObject | None:
        """Use one request for both: the reply to a range contains the full size."""
        try:
            found = self._client.get_object(**self._named(key), Range=f"bytes=0-{HEAD_BYTES - 1}")
        except ClientError as error:
            if _code(error) in EMPTY:
                return StoredObject(0, b"")
            _require_missing(error)
            return None
        with closing(found["Body"]) as body:
            head: bytes = body.read(HEAD_BYTES)
        whole: str = found.get("ContentRange", "").rpartition("/")[2]
        return StoredObject(int(whole) if whole.isdigit() else found["ContentLength"], head)

    def _sha256(self, key: str) -> str | None:
        try:
            found = self._client.get_object(**self._named(key))
        except ClientError as error:
            _require_missing(error)
            return None
        hashed = hashlib.sha256()
        with closing(found["Body"]) as body:
            for piece in body.iter_chunks(CHUNK_BYTES):
                hashed.update(piece)
        return hashed.hexdigest()

    def _delete(self, key: str) -> None:
        try:
            self._client.delete_object(**self._named(key))
        except ClientError as error:
            _require_missing(error)

    def _origin(self) -> str:
        url = self._client.generate_presigned_url("head_bucket", {"Bucket": self._bucket})
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}"

    def _named(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{key}"}

    async def _presigned(self, operation: str, parameters: dict[str, Any], valid_s: int) -> str:
        # In a thread, because the credentials of a role may have to be fetched again.
        return await self._call(self._client.generate_presigned_url, operation, parameters, valid_s)

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, function, *arguments)
        except (BotoCoreError, ClientError, HTTPClientError, OSError) as error:
            code = _code(error) if isinstance(error, ClientError) else ""
            log.warning("files.failed", error=type(error).__name__, code=code)
            raise StorageUnavailable from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _require_missing(error: ClientError) -> None:
    """Return when the error means that the object is missing; else raise it."""
    if _code(error) not in MISSING:
        raise error


def _in(seconds: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
