"""The Content-Disposition of files: browsers show only types that cannot run scripts."""

from __future__ import annotations

from urllib.parse import quote

SAFE_INLINE = frozenset(
    {
        "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp",
        "application/pdf", "audio/mpeg", "audio/mp4", "audio/aac", "audio/ogg", "audio/webm",
        "audio/wav", "audio/flac", "video/mp4", "video/webm", "video/ogg", "video/quicktime",
    }
)  # fmt: skip
"""Types in which no script can run. SVG and HTML are not among them."""


def disposition(name: str, content_type: str) -> str:
    """Return the Content-Disposition (RFC 6266) of a file.

    It has the name twice: in ASCII for very old clients, and as it is.
    """
    kind = "inline" if content_type in SAFE_INLINE else "attachment"
    plain = "".join(char if " " <= char <= "~" and char not in '"\\%' else "_" for char in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
