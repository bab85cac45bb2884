"""Decides by a file's first bytes as what it is kept: its declared type, a download, or not at all.

puremagic has most signatures; formats that it knows by a few beginnings only are recognised here.
"""

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
    (b"{\\rtf", "application/rtf"),
    (b"{\\rtf", "application/msword"),  # as Word saves it under .doc
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"ID3", "audio/mpeg"),
    (b"APETAGEX", "audio/mpeg"),
    (b"TAG", "audio/mpeg"),
)
"""Signatures for which puremagic returns no type, or knows some of what may follow."""
WEAK = 4
"""A signature with fewer bytes proves nothing against a type: two or three occur in anything."""

PDF_WITHIN = 1_024
"""A PDF may begin after so many bytes (ISO 32000-1, implementation notes): a byte order mark, a
line of a printer's language."""
MOVIE_BOXES = frozenset({b"moov", b"mdat", b"wide", b"skip", b"free", b"pnot"})
"""What QuickTime files from before `ftyp` begin with."""
PICTURE_BRANDS = frozenset(
    {b"mif1", b"mif2", b"msf1", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"avif",
     b"avis"}
)  # fmt: skip
"""Brands of pictures; every other one (isom, iso5, mp42, M4V, dash, 3gp5 …) is a film or sound."""

ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
ZIPPED = (
    "application/zip", "application/x-zip-compressed", "application/vnd.openxmlformats-",
    "application/vnd.oasis.opendocument.", "application/epub+zip", "application/vnd.ms-excel.",
    "application/vnd.ms-word.", "application/vnd.ms-powerpoint.",
)  # fmt: skip

SECRET = tuple(kind for kind in ZIPPED if kind.startswith("application/vnd."))
"""Documents of Office: those with a password are an OLE container around the encrypted archive."""

TEXTS = frozenset({"application/json", "application/xml", "application/x-ndjson", "message/rfc822"})
CERTAIN = (
    "image/", "audio/", "video/", "application/pdf", "application/msword", "application/rtf",
    "application/vnd.ms-",
)  # fmt: skip
"""Types with signatures: a file without one is a download, one of another type is refused."""

PAGES = (
    b"<!doctype html", b"<html", b"<head", b"<script", b"<body", b"<iframe", b"<svg", b"<style",
    b"<meta", b"<table", b"<a ", b"<div", b"<img", b"<h1", b"<!--",
)  # fmt: skip
"""In lower case. A browser that guesses the type treats such a file as a page (the WHATWG's MIME
Sniffing has most of these)."""
PROGRAMS = (
    b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!/",
    b"L\x00\x00\x00\x01\x14\x02\x00", b"ITSF", b"\x00asm", b"dex\n",
)  # fmt: skip
"""Of Windows, Linux, macOS, Java and shells; shortcuts, compiled help, WebAssembly, Android."""
DOWNLOAD = "application/octet-stream"


def kept_as(content_type: str, head: bytes) -> str | None:
    """Return the type under which a file with these first bytes is kept; None when it is refused.

    Pages and programs are kept only under their own types. What has the signature of its type is
    kept as that, what has one of another type is refused. The rest can neither be proved nor shown
    to be harmful: under a type that browsers show it is a download.
    """
    if _textual(content_type):
        return _text_kept_as(content_type, head)
    if _is_page(head) or head.startswith(PROGRAMS):
        return None
    strong, weak = _found(head)
    if content_type.startswith(ZIPPED):
        if head.startswith((ZIP, EMPTY_ZIP)) or (
            content_type.startswith(SECRET) and head.startswith(OLE)
        ):
            return content_type
        return None if strong else DOWNLOAD
    if _family(content_type) & (strong | weak):
        return content_type
    if not content_type.startswith(CERTAIN):
        return content_type
    return None if strong or head.startswith(ZIP) else DOWNLOAD


def _text_kept_as(content_type: str, head: bytes) -> str | None:
    if _is_text(head):
        return content_type if _is_page_type(content_type) or not _is_page(head) else None
    strong, _ = _found(head)
    if _is_page(head) or strong or head.startswith((*PROGRAMS, ZIP)):
        return None
    return DOWNLOAD  # UTF-16 without a mark, a log with a byte that no text has


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


def _found(head: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """Return the types whose signatures these bytes have: long signatures, and short ones."""
    if head.startswith(b"RIFF"):
        return frozenset({RIFF.get(head[8:12], "")} - {""}), frozenset()
    strong = {kind for mark, kind in OTHER_SIGNATURES if head.startswith(mark)}
    weak: set[str] = set()
    try:
        for match in puremagic.magic_string(head):
            (strong if len(match.byte_match or b"") >= WEAK else weak).add(match.mime_type)
    except (puremagic.PureError, ValueError):
        pass
    if b"%PDF-" in head[:PDF_WITHIN]:
        strong.add("application/pdf")
    if head[4:8] in MOVIE_BOXES or (head[4:8] == b"ftyp" and head[8:12] not in PICTURE_BRANDS):
        strong.add("video/mp4")
    if _is_mpeg_audio(head.lstrip(b"\x00")):
        weak.add("audio/mpeg")
    return frozenset(strong - {""}), frozenset(weak - {""})


def _is_mpeg_audio(head: bytes) -> bool:
    """Return whether a frame of MPEG audio begins here: layer II or III of any version, or ADTS."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0:
        return head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13
    return version != 1 and layer != 3 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3
