"""Checks a file's first bytes against its declared type. puremagic has the signatures."""

from __future__ import annotations

import codecs

import puremagic

FAMILIES: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "image/jpeg image/jpg image/pjpeg",
        "image/bmp image/x-ms-bmp image/x-bmp",
        "image/heic image/heif image/heic-sequence image/heif-sequence",
        "image/x-icon image/vnd.microsoft.icon",
        "audio/wav audio/wave audio/x-wav audio/vnd.wave",
        "audio/flac audio/x-flac",
        "audio/mpeg audio/mp3 audio/aac audio/x-aac audio/aacp",
        "audio/amr audio/amr-wb",
        "audio/ogg video/ogg application/ogg audio/opus",
        "video/mp4 audio/mp4 audio/m4a audio/x-m4a video/x-m4v video/quicktime video/3gpp "
        "audio/3gpp",
        "video/webm audio/webm video/x-matroska audio/x-matroska application/x-matroska",
        "video/x-msvideo video/avi video/msvideo",
        "application/gzip application/x-gzip",
        "application/vnd.rar application/x-rar application/x-rar-compressed",
        "application/rtf text/rtf",
        "application/msword application/vnd.ms-excel application/vnd.ms-powerpoint "
        "application/vnd.ms-outlook application/vnd.visio application/x-visio",
    )
)
"""Names of one format, and formats that differ only after their first bytes."""

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/avi"}
"""Formats with the same beginning, by the four bytes at offset 8."""
OTHER_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"#!AMR", "audio/amr"),
    (OLE, "application/msword"),
)
"""Signatures for which puremagic returns no type."""

ZIP = b"PK\x03\x04"
ZIPPED = (
    "application/zip", "application/x-zip-compressed", "application/vnd.openxmlformats-",
    "application/vnd.oasis.opendocument.", "application/epub+zip", "application/vnd.ms-excel.",
    "application/vnd.ms-word.", "application/vnd.ms-powerpoint.",
)  # fmt: skip

TEXTS = frozenset({"application/json", "application/xml", "application/x-ndjson", "message/rfc822"})
CERTAIN = (
    "image/", "audio/", "video/", "application/pdf", "application/msword", "application/rtf",
    "application/vnd.ms-",
)  # fmt: skip
"""Types that always have a known signature: a file without it is refused."""

PAGES = (
    b"<!doctype html", b"<html", b"<head", b"<script", b"<body", b"<iframe", b"<svg", b"<style",
    b"<meta", b"<table", b"<a ", b"<div", b"<img", b"<h1", b"<!--",
)  # fmt: skip
"""In lower case. A browser that guesses the type treats such a file as a page (the WHATWG's MIME
Sniffing has most of these)."""
PROGRAMS = (
    b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!/",
)  # fmt: skip


def fits(content_type: str, head: bytes) -> bool:
    """Return whether a file with these first bytes may have this type.

    Pages and programs are allowed only under their own types; pictures, audio and video need their
    signature; text must be text. A type without a signature is allowed for everything else.
    """
    if _textual(content_type):
        return _is_text(head) and (_is_page_type(content_type) or not _is_page(head))
    if content_type.startswith(ZIPPED):
        return head.startswith(ZIP)
    if _family(content_type) & _found(head):
        return True
    return not (content_type.startswith(CERTAIN) or _is_page(head) or head.startswith(PROGRAMS))


def _textual(content_type: str) -> bool:
    return content_type != "text/rtf" and (
        content_type.startswith("text/") or content_type in TEXTS or content_type.endswith("+xml")
    )


def _is_page_type(content_type: str) -> bool:
    return content_type in {"text/html", "text/xml", "application/xml"} or content_type.endswith(
        "+xml"
    )


def _is_page(head: bytes) -> bool:
    for mark in (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        head = head.removeprefix(mark)
    return head.replace(b"\x00", b"").lstrip(b" \t\r\n\x0c").lower().startswith(PAGES)


def _is_text(head: bytes) -> bool:
    """Return whether it is UTF-8 (cut anywhere), UTF-16 with a BOM, or some 8-bit encoding."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    return not any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head)


def _family(content_type: str) -> frozenset[str]:
    own = frozenset({content_type})
    return own.union(*(family for family in FAMILIES if content_type in family))


def _found(head: bytes) -> frozenset[str]:
    if head.startswith(b"RIFF"):
        return frozenset({RIFF.get(head[8:12], "")} - {""})
    try:
        found = {match.mime_type for match in puremagic.magic_string(head)}
    except (puremagic.PureError, ValueError):
        found = set()
    found.update(content_type for mark, content_type in OTHER_SIGNATURES if head.startswith(mark))
    return frozenset(found - {""})
