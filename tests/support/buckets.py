"""A bucket on an S3 that moto plays on the loopback interface."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from gateway.files.s3 import S3Storage

KEYS = {"access_key": "a-test", "secret_key": "a-test's-secret"}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Give the address of an S3."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - 0.4 s, in each test process

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def bucket(s3_endpoint: str) -> dict[str, Any]:
    """Give what S3Storage needs to know of a bucket."""
    name = f"files-{uuid.uuid4().hex[:12]}"
    httpx2.put(f"{s3_endpoint}/{name}", timeout=60).raise_for_status()
    return {
        "bucket": name,
        "endpoint": s3_endpoint,
        "region": "us-east-1",
        "prefix": "crm/",
        "path_style": True,
        **KEYS,
    }


@pytest.fixture(scope="session")
def s3_storage(bucket: dict[str, Any]) -> S3Storage:
    """Give that bucket, opened once: botocore takes 0.3 s."""
    options = {name: value for name, value in bucket.items() if name != "bucket"}
    return S3Storage(bucket["bucket"], **options)
