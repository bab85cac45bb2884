"""What files may be called, and whether their first bytes are what they are called."""

from __future__ import annotations

import io
import uuid
import zipfile

import pytest

from gateway.errors import AttachmentTooLarge, AttachmentTypeRefused, Invalid
from gateway.files import Limits, disposition, kept_as
from gateway.protocol import codec
from gateway.settings import Settings


def zipped(*names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return held.getvalue()


def fits(content_type: str, head: bytes) -> bool:
    """Return whether a file with these first bytes is kept under this type."""
    return kept_as(content_type, head) == content_type


DOWNLOAD = "application/octet-stream"
REST = b"\x00" * 60
PAGE = b"\xef\xbb\xbf \r\n<!doctype HTML><title>x"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'
HEADS = {
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + REST,
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + REST,
    "gif": b"GIF89a" + REST,
    "webp": b"RIFF\x10\x00\x00\x00WEBPVP8 " + REST,
    "heic": b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heic" + REST,
    "avif": b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1" + REST,
    "mp4": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + REST,
    "m4a": b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42" + REST,
    "mov": b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + REST,
    "webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm"
    + REST,
    "ogg": b"OggS\x00\x02" + b"\x00" * 22 + b"\x01\x13OpusHead" + REST,
    "mp3": b"ID3\x03\x00\x00\x00\x00\x00\x21" + REST,
    "mp3 without a tag": b"\xff\xfb\x90\x64" + REST,
    "wav": b"RIFF\x24\x00\x00\x00WAVEfmt " + REST,
    "flac": b'fLaC\x00\x00\x00"' + REST,
    "aac": b"\xff\xf1\x50\x80" + REST,
    "amr": b"#!AMR\n" + REST,
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    "doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + REST * 10,
    "docx": zipped("[Content_Types].xml", "word/document.xml"),
    "odt": zipped("mimetype", "content.xml"),
    "rtf": b"{\\rtf1\\ansi hello}",
    "text": "Привіт, світе\n".encode(),
    "old text": "Привіт".encode("cp1251"),
    "wide text": "Привіт".encode("utf-16"),
    "csv": b"a;b\r\n1;2\r\n",
    "json": b'{"a": 1}',
    "svg": SVG,
    "page": PAGE,
    "wide page": "<html><script>".encode("utf-16"),
    "program": b"MZ\x90\x00\x03\x00\x00\x00" + REST,
    "elf": b"\x7fELF\x02\x01\x01" + REST,
    "script": b"#!/bin/sh\nrm -rf /\n",
    "noise": b"\x01\x02\x03" + bytes(range(128, 255)),
}

OOXML = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("content_type", "fitting"),
    [
        ("image/png", "png"),
        ("image/jpeg", "jpeg"),
        ("image/jpg", "jpeg"),
        ("image/gif", "gif"),
        ("image/webp", "webp"),
        ("image/heic", "heic"),
        ("image/avif", "avif"),
        ("video/mp4", "avif,heic,m4a,mov,mp4"),
        ("audio/mp4", "avif,heic,m4a,mov,mp4"),
        ("video/quicktime", "avif,heic,m4a,mov,mp4"),
        ("video/webm", "webm"),
        ("audio/webm", "webm"),
        ("audio/ogg", "ogg"),
        ("audio/mpeg", "aac,mp3,mp3 without a tag"),
        ("audio/x-wav", "wav"),
        ("audio/flac", "flac"),
        ("audio/aac", "aac,mp3,mp3 without a tag"),
        ("audio/amr", "amr"),
        ("application/pdf", "pdf"),
        ("application/msword", "doc,rtf"),
        ("application/vnd.ms-excel", "doc,rtf"),
        (OOXML, "doc,docx,odt"),
        ("application/zip", "docx,odt"),
        ("application/rtf", "rtf"),
        ("image/x-unheard-of", ""),
    ],
)
def test_pictures_and_sounds_are_what_their_first_bytes_say(
    content_type: str, fitting: str
) -> None:
    """A type takes its own format, and those that only what follows tells apart from it."""
    taken = [name for name, head in HEADS.items() if fits(content_type, head)]

    assert set(taken) == set(fitting.split(",") if fitting else [])


@pytest.mark.parametrize("content_type", ["text/plain", "text/csv", "application/json"])
def test_text_is_text(content_type: str) -> None:
    """In any alphabet; neither pages, nor what has bytes that no text has."""
    taken = {name for name, head in HEADS.items() if fits(content_type, head)}

    assert taken >= {"text", "old text", "wide text", "csv", "json", "script", "rtf"}
    assert taken & {"page", "wide page", "png", "docx", "doc", "program", "elf", "noise"} == set()


def test_a_page_is_only_what_says_so() -> None:
    """For whoever allows such types: HTML and SVG are theirs alone."""
    for name in ("page", "wide page"):
        fitting = ("text/html", "text/plain", "application/pdf", "application/octet-stream")
        taken = [one for one in fitting if fits(one, HEADS[name])]
        assert taken == ["text/html"]
    assert fits("image/svg+xml", SVG)
    assert not fits("image/png", SVG)


def test_a_type_without_a_signature_is_taken_unless_it_runs() -> None:
    """Nobody can say what an unknown type begins with: only pages and programs are refused."""
    refused = [name for name, head in HEADS.items() if not fits("application/x-ours", head)]

    assert set(refused) == {"page", "wide page", "program", "elf", "script"}


BRANDS = (
    "isom iso2 iso3 iso4 iso5 iso6 iso7 iso8 iso9 mp41 mp42 mp71 avc1 dash cmfc cmfs M4V_ M4A_ "
    "M4B_ f4v_ MSNV XAVC NDSC ndxc 3gp4 3gp5 3gp6 3ge6 3gg6 3g2a 3g2c qt__ "
    "mmp4 mobi hvc1 av01 piff ccff"
).replace("_", " ").split(" ")  # fmt: skip
MPEG_FRAMES = [
    bytes((0xFF, 0xE0 | version << 3 | layer << 1 | crc, bitrate << 4 | rate << 2, 0x44))
    for version in (0, 2, 3) for layer in (1, 2) for crc in (0, 1)
    for bitrate in (1, 9, 14) for rate in (0, 1, 2)
]  # fmt: skip
"""MPEG 2.5, 2 and 1, layers III and II: FF E2 to FF FD."""
VARIANTS: dict[str, dict[str, bytes]] = {
    "video/mp4": {
        **{brand: b"\x00\x00\x00\x20ftyp" + brand.encode().ljust(4) for brand in BRANDS if brand},
        **{box: b"\x00\x00\x00\x08" + box.encode()
           for box in ("moov", "mdat", "wide", "skip", "free")},
    },
    "audio/mpeg": {
        **{frame.hex(): frame for frame in MPEG_FRAMES},
        "ID3": b"ID3\x04\x00\x00\x00\x00\x00\x21", "ID3 2.2": b"ID3\x02\x00",
        "zeros before": b"\x00" * 417 + b"\xff\xfb\x90\x64", "APE": b"APETAGEX\xd0\x07",
    },
    "audio/aac": {mark.hex(): mark for mark in (b"\xff\xf1\x50\x80", b"\xff\xf0\x4c\x80",
                                            b"\xff\xf9\x50\x80", b"\xff\xf8\x60\x40")},
    "application/pdf": {
        before.hex() or "plain": before + b"%PDF-1.4\n"
        for before in (b"", b"\xef\xbb\xbf", b"\n", b"\r\n  ", b"\xff\xfe", b"\x1b%-12345X@PJL\r\n",
                       b"\x00" * 900)
    },
    "image/jpeg": {f"{mark:02x}": bytes((0xFF, 0xD8, 0xFF, mark))
                   for mark in (0xDB, 0xC0, 0xC4, 0xFE, *range(0xE0, 0xF0))},
    "application/msword": {"ole": HEADS["doc"], "rtf": HEADS["rtf"]},
    **{
        f"application/vnd.openxmlformats-officedocument.{kind}": {
            "open": HEADS["docx"], "with a password": HEADS["doc"],
            "empty": b"PK\x05\x06" + bytes(18),
        }
        for kind in ("spreadsheetml.sheet", "wordprocessingml.document",
                     "presentationml.presentation", "spreadsheetml.template")
    },
    "application/vnd.ms-excel.sheet.macroenabled.12": {"with a password": HEADS["doc"]},
    "video/webm": {"short": b"\x1aE\xdf\xa3\x01\x00\x00\x00\x00\x00\x00\x1f"},
    "audio/ogg": {"vorbis": b"OggS\x00\x02" + bytes(22) + b"\x01\x1e\x01vorbis"},
}  # fmt: skip
"""Type → what files of it begin with, too, by the formats' own documents."""


@pytest.mark.parametrize("content_type", VARIANTS)
def test_every_beginning_of_a_format_is_known(content_type: str) -> None:
    """Whatever program wrote it, whatever comes before its header: it is kept as what it is."""
    for name, head in VARIANTS[content_type].items():
        assert kept_as(content_type, head + bytes(range(256))) == content_type, name


def test_what_begins_like_another_format_is_refused() -> None:
    """A known format under the type of another one is a lie; no byte order mark is a sound."""
    for content_type, lie in (("image/png", "jpeg"), ("video/mp4", "png"),
                              ("application/pdf", "mp4"), ("audio/mpeg", "pdf"),
                              ("image/jpeg", "docx"), (OOXML, "png"),
                              ("text/plain", "png"), ("text/csv", "docx")):  # fmt: skip
        assert kept_as(content_type, HEADS[lie]) is None, (content_type, lie)
    assert kept_as("text/csv", "a;b".encode("utf-16")) == "text/csv"
    assert kept_as("audio/mpeg", "Heading".encode("utf-16")) == DOWNLOAD


@pytest.mark.parametrize(
    "content_type",
    ["image/png", "image/x-unheard-of", "audio/midi", "audio/mpeg", "video/x-flv",
     "application/pdf", OOXML,
     "application/vnd.ms-excel", "text/csv"],
)  # fmt: skip
def test_what_cannot_be_proved_harmful_is_a_download(content_type: str) -> None:
    """Bytes of no known format under a known type: kept, and saved by browsers, never shown."""
    assert kept_as(content_type, HEADS["noise"] + REST) == DOWNLOAD
    for harmful in ("page", "wide page", "program", "elf"):
        assert kept_as(content_type, HEADS[harmful]) is None, harmful
    assert disposition("a.bin", DOWNLOAD).startswith("attachment;")


def test_no_page_or_program_hides_behind_another_beginning() -> None:
    """A page or program with a document's header inside stays one."""
    for start in (b"<html>%PDF-1.4", b"MZ" + bytes(60) + b"%PDF-1.4", b"\xef\xbb\xbf<script>%PDF-",
                  b"L\x00\x00\x00\x01\x14\x02\x00%PDF-", b"ITSF\x03%PDF-"):  # fmt: skip
        assert kept_as("application/pdf", start + REST) is None, start


def test_an_empty_or_cut_file_is_no_trouble() -> None:
    """Whatever the first bytes are, there is an answer."""
    for head in (b"", b"\x89", b"P", b"\xff\xfe", b"\xd0", b"<"):
        for content_type in ("image/png", "text/plain", OOXML, "application/x-ours"):
            assert kept_as(content_type, head) in {None, content_type, DOWNLOAD}


@pytest.mark.parametrize(
    ("name", "content_type", "said"),
    [
        ("a.png", "image/png", "inline; filename=\"a.png\"; filename*=UTF-8''a.png"),
        ("звіт.pdf", "application/pdf", "inline; filename=\"____.pdf\"; filename*=UTF-8''"
         "%D0%B7%D0%B2%D1%96%D1%82.pdf"),
        ('a"; x="b.svg', "image/svg+xml", "attachment; filename=\"a_; x=_b.svg\"; "
         "filename*=UTF-8''a%22%3B%20x%3D%22b.svg"),
        ("a%20b.html", "text/html", "attachment; filename=\"a_20b.html\"; filename*=UTF-8''"
         "a%2520b.html"),
    ],
)  # fmt: skip
def test_a_name_cannot_leave_its_header(name: str, content_type: str, said: str) -> None:
    """Quotes, semicolons and other alphabets arrive as they were; what may run is saved."""
    assert disposition(name, content_type) == said


def test_the_types_that_are_taken_by_default() -> None:
    """Pictures, sound, films, papers and tables; nothing that a browser or a system runs."""
    limits = Limits(types=Settings().file_types)

    for content_type in (
        "image/png",
        "audio/ogg",
        "video/mp4",
        "text/csv",
        "application/pdf",
        OOXML,
    ):
        limits.check(content_type, 1)
    for content_type in (
        "text/html", "text/javascript", "application/x-msdownload", "application/octet-stream",
        "application/vnd.microsoft.portable-executable", "application/java-archive",
    ):  # fmt: skip
        with pytest.raises(AttachmentTypeRefused):
            limits.check(content_type, 1)
    with pytest.raises(AttachmentTooLarge):
        limits.check("image/png", limits.max_bytes + 1)


def test_a_message_for_later_has_no_files() -> None:
    """message.schedule knows no such field, and refuses it by its name."""
    with pytest.raises(Invalid) as refusal:
        codec.command(
            "message.schedule",
            {
                "conversation_id": 1,
                "client_key": str(uuid.uuid4()),
                "text": "later",
                "send_at": "2030-01-01T00:00:00Z",
                "attachments": [1],
            },
        )

    assert refusal.value.path == "attachments"


def test_files_are_kept_in_one_place() -> None:
    """A directory and a bucket at once, or half of a key, are refused at the start."""
    for bad in ({"files_dir": "/x", "s3_bucket": "b"}, {"s3_bucket": "b", "s3_access_key": "k"}):
        with pytest.raises(ValueError, match=r"kept in one place|belong together"):
            Settings(**bad)  # type: ignore[arg-type]
