"""Every file storage keeps the same promises: a directory, and a bucket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.errors import (
    AttachmentMismatch,
    FileExists,
    LinkExpired,
    LinkInvalid,
    SizeDiffers,
    StorageUnavailable,
    TooLarge,
    UploadRunning,
)
from gateway.files import (
    Grant,
    LocalStorage,
    SignedLink,
    Signer,
    Storage,
    StorageUnusable,
    StoredObject,
    new_key,
    open_storage,
)
from gateway.files.local import PATH
from gateway.files.s3 import S3Storage

pytest_plugins = ["tests.support.buckets"]

SECRET = "a secret of thirty-two bytes or so"
DATA = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@pytest.fixture(params=["directory", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Give one of them."""
    if request.param == "bucket":
        opened: Storage = request.getfixturevalue("s3_storage")
        return opened
    return LocalStorage(tmp_path / "files", Signer(SECRET))


async def pieces(data: bytes, size: int = 1_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def put(storage: Storage, link: SignedLink, data: bytes) -> bool:
    """Upload as a client does; say whether it was taken."""
    if isinstance(storage, LocalStorage):
        try:
            grant = storage.check_link(link.url.removeprefix(PATH), "PUT")
            await storage.take(grant, pieces(data))
        except FileExists:
            return False
        return True
    async with httpx2.AsyncClient() as http:
        answer = await http.put(link.url, content=data, headers=dict(link.headers))
    return answer.status_code == 200


async def kept(storage: Storage, data: bytes = DATA) -> str:
    """Upload a file; return its key."""
    key = new_key()
    link = await storage.upload_link(
        key, uploader="1", size=len(data), content_type="image/png", sha256=None, valid_s=60
    )
    assert await put(storage, link, data)
    return key


async def test_what_was_uploaded_is_there(storage: Storage) -> None:
    """Its size, its first bytes and its hash are those of what was sent."""
    key = await kept(storage)

    look = await storage.inspect(key)

    assert look == StoredObject(len(DATA), DATA[:4_096])
    assert await storage.sha256(key) == hashlib.sha256(DATA).hexdigest()


async def test_a_short_file_is_there_whole(storage: Storage) -> None:
    """One byte is a file, too."""
    assert await storage.inspect(await kept(storage, b"x")) == StoredObject(1, b"x")


async def test_what_was_never_uploaded_is_not_there(storage: Storage) -> None:
    """Nothing is found, and removing it is no error."""
    key = new_key()

    assert await storage.inspect(key) is None
    assert await storage.sha256(key) is None
    await storage.delete(key)


async def test_what_was_removed_is_gone(storage: Storage) -> None:
    """Only that; removing it again is no error."""
    key, other = await kept(storage), await kept(storage)

    await storage.delete(key)
    await storage.delete(key)

    assert await storage.inspect(key) is None
    assert await storage.inspect(other) is not None


async def test_an_upload_overwrites_nothing(storage: Storage) -> None:
    """A link is good for one file: the second one is refused, and the first one stays."""
    key = new_key()
    link = await storage.upload_link(
        key, uploader="1", size=4, content_type="text/plain", sha256=None, valid_s=60
    )

    assert await put(storage, link, b"good")
    assert not await put(storage, link, b"evil")

    assert await storage.inspect(key) == StoredObject(4, b"good")


async def test_links_name_their_end(storage: Storage) -> None:
    """An upload's and a download's, in UTC."""
    key = await kept(storage)

    upload = await storage.upload_link(
        new_key(), uploader="1", size=1, content_type="text/plain", sha256=None, valid_s=900
    )
    download = await storage.download_link(key, name="a.png", content_type="image/png", valid_s=300)

    now = datetime.now(UTC)
    assert 890 < (upload.expires_at - now).total_seconds() <= 900
    assert 290 < (download.expires_at - now).total_seconds() <= 300
    assert upload.headers["Content-Type"] == "text/plain"


async def test_nobody_guesses_a_key() -> None:
    """Keys are 128 random bits, and say nothing of the file."""
    keys = {new_key() for _ in range(1_000)}

    assert len(keys) == 1_000
    assert {len(key) for key in keys} == {32}


# --- a bucket's links --------------------------------------------------------------------------


async def test_a_bucket_gives_a_file_its_name_and_type(s3_storage: S3Storage) -> None:
    """Whatever the upload said of it: the link decides, and what may run is not shown."""
    key = await kept(s3_storage)
    picture = await s3_storage.download_link(
        key, name="фото.png", content_type="image/png", valid_s=60
    )
    drawing = await s3_storage.download_link(
        key, name="a.svg", content_type="image/svg+xml", valid_s=60
    )
    async with httpx2.AsyncClient() as http:
        shown, saved = await http.get(picture.url), await http.get(drawing.url)

    assert shown.content == DATA
    assert shown.headers["content-type"] == "image/png"
    assert shown.headers["content-disposition"].startswith('inline; filename="____.png"')
    assert saved.headers["content-disposition"].startswith("attachment; ")
    assert s3_storage.origin == f"http://{urlsplit(picture.url).netloc}"


async def test_a_bucket_is_asked_to_hold_clients_to_what_they_declared(
    bucket: dict[str, Any], s3_storage: S3Storage
) -> None:
    """Length, type and not overwriting are part of the signature: another value breaks it."""
    link = await s3_storage.upload_link(
        new_key(), uploader="1", size=10, content_type="image/png", sha256=None, valid_s=900
    )
    said = {name: values[0] for name, values in parse_qs(urlsplit(link.url).query).items()}

    def signature(**changes: str) -> str:
        headers = {
            "content-length": "10",
            "content-type": "image/png",
            "if-none-match": "*",
            "host": urlsplit(link.url).netloc,
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        request = AWSRequest("PUT", link.url, headers=headers)
        request.context["timestamp"] = said["X-Amz-Date"]
        keys = Credentials(bucket["access_key"], bucket["secret_key"])
        signer = S3SigV4QueryAuth(keys, "s3", "us-east-1", expires=900)
        request.url = link.url.split("&X-Amz-Signature=")[0]
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return str(signer.signature(text, request))

    assert said["X-Amz-Expires"] == "900"
    assert said["X-Amz-SignedHeaders"] == "content-length;content-type;host;if-none-match"
    assert said["X-Amz-Signature"] == signature()
    assert said["X-Amz-Signature"] not in {
        signature(content_length="11"),
        signature(content_type="text/html"),
        signature(if_none_match='"other"'),
    }


async def test_a_bucket_that_is_away_is_unavailable(bucket: dict[str, Any]) -> None:
    """Whatever botocore raises is told as what it is for a client: come back later."""
    async with open_storage(**{**bucket, "endpoint": "http://127.0.0.1:9"}) as away:
        assert away is not None
        with pytest.raises(StorageUnavailable):
            await away.inspect(new_key())
    async with open_storage(**{**bucket, "bucket": "no-such-bucket"}) as missing:
        assert missing is not None
        with pytest.raises(StorageUnavailable):
            await missing.inspect(new_key())


# --- a directory's links -----------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    """Give a directory."""
    return LocalStorage(tmp_path / "files", Signer(SECRET))


def files_in(local: LocalStorage) -> list[Path]:
    return [path for path in local._root.rglob("*") if path.is_file()]


def grant(size: int = 4, **changes: Any) -> Grant:
    fields: dict[str, Any] = {
        "do": "PUT",
        "key": new_key(),
        "until": int(time.time()) + 60,
        "size": size,
        "content_type": "text/plain",
        **changes,
    }
    return Grant(**fields)


async def test_only_what_was_declared_is_kept(local: LocalStorage) -> None:
    """A byte more, a byte less, another hash: refused, and not a byte stays."""
    right = hashlib.sha256(b"good").hexdigest()
    for allowed, data, refusal in (
        (grant(), b"goods", TooLarge),
        (grant(), b"goo", SizeDiffers),
        (grant(), b"", SizeDiffers),
        (grant(sha256=right), b"evil", AttachmentMismatch),
    ):
        with pytest.raises(refusal):
            await local.take(allowed, pieces(data, 1))
    assert files_in(local) == []

    await local.take(grant(sha256=right), pieces(b"good", 1))

    assert [path.read_bytes() for path in files_in(local)] == [b"good"]


async def test_an_upload_that_breaks_off_leaves_nothing(local: LocalStorage) -> None:
    """Neither one that fails nor one that is cancelled."""

    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(300_000)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await local.take(grant(400_000), breaking())

    began = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield bytes(300_000)
        began.set()
        await asyncio.Event().wait()

    uploading = asyncio.create_task(local.take(grant(400_000), stalling()))
    await began.wait()
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading

    assert files_in(local) == []


async def test_two_uploads_at_once_leave_one_whole_file(local: LocalStorage) -> None:
    """The others are told that one is under way, and afterwards that the file exists."""
    allowed = grant(100_000)

    done = await asyncio.gather(
        *(local.take(allowed, pieces(mark * 100_000)) for mark in (b"a", b"b", b"c")),
        return_exceptions=True,
    )

    expected = [type(None), UploadRunning, UploadRunning]
    assert sorted(map(str, map(type, done))) == sorted(map(str, expected))
    with pytest.raises(FileExists):
        await local.take(allowed, pieces(b"d" * 100_000))
    [path] = files_in(local)
    assert path.read_bytes() in {mark * 100_000 for mark in (b"a", b"b", b"c")}


def test_a_link_is_good_for_what_it_says_alone(local: LocalStorage) -> None:
    """Not for another method, not with another file in it, not after its time, not if made up."""
    signer = Signer(SECRET)
    to_put, to_get = signer.sign(grant()), signer.sign(grant(do="GET"))
    said, _, signature = to_put.partition(".")
    other = signer.sign(grant()).partition(".")[0]

    assert local.check_link(to_put, "PUT").do == "PUT"
    assert local.check_link(to_get, "HEAD").do == "GET"
    for token, method in (
        (to_put, "GET"),
        (to_get, "PUT"),
        (to_put, "DELETE"),
        (f"{other}.{signature}", "PUT"),
        (f"{said}.", "PUT"),
        (f"{said}=.{signature}", "PUT"),
        ("", "PUT"),
        (".", "PUT"),
        ("я.я", "PUT"),
        (Signer("another secret").sign(grant()), "PUT"),
    ):
        with pytest.raises(LinkInvalid):
            local.check_link(token, method)
    with pytest.raises(LinkExpired):
        local.check_link(signer.sign(grant(until=int(time.time()) - 1)), "PUT")


def test_no_link_leads_out_of_the_directory(local: LocalStorage) -> None:
    """Even one with our signature is for nothing but a key of ours."""
    for key in ("../secret", "..", "/etc/passwd", "a" * 31, "A" * 32, "a" * 32 + "\n", "٣" * 32):
        with pytest.raises(LinkInvalid):
            local.check_link(Signer(SECRET).sign(grant(key=key)), "PUT")


async def test_nothing_outside_is_reached_by_a_key(local: LocalStorage, tmp_path: Path) -> None:
    """A key that is none is refused before any file is touched."""
    outside = tmp_path / "outside"
    outside.write_text("here")

    for attempt in (local.inspect, local.sha256, local.delete, local.hold):
        with pytest.raises(ValueError, match="not a key"):
            await attempt("../../outside")

    assert outside.read_text() == "here"


async def test_what_a_crash_left_is_tidied(local: LocalStorage) -> None:
    """An upload nobody has written to for an hour goes; one that is under way stays."""
    old, new = local._coming / f"{new_key()}.1", local._coming / f"{new_key()}.2"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - 4_000))

    assert await local.tidy() == 1

    assert files_in(local) == [new]


async def test_a_disk_that_fails_is_unavailable(local: LocalStorage) -> None:
    """A client is told to come back; nothing of the path is said."""
    local._coming.rmdir()

    with pytest.raises(StorageUnavailable) as refusal:
        await local.take(grant(), pieces(b"good"))

    assert str(local._root) not in refusal.value.detail


async def test_a_place_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    """The message names the directory."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageUnusable, match=str(tmp_path / "file")):
        async with open_storage(directory=tmp_path / "file", secret=SECRET):
            pass


def test_a_link_says_nothing_secret() -> None:
    """What stands in it is for its holder to read, and has nothing but what it allows."""
    said = Signer(SECRET).sign(grant(name="a.txt")).partition(".")[0]

    assert set(json.loads(base64.urlsafe_b64decode(said + "=="))) == {
        "do", "key", "until", "content_type", "size", "sha256", "name",
    }  # fmt: skip
