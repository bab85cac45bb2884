"""FreeSWITCH's event socket on the wire: bytes ⇄ messages, no I/O.

socket ─▶ EslParser ─▶ EslMessage ─▶ connectors.esl. A message is headers, an empty line and a body
of Content-Length bytes; it may be split over any number of reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.framing.digits import parse_int

HEAD_LIMIT_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 32 * 1024 * 1024
"""`show channels` with 10,000 channels is about 9 MB."""
LENGTH_DIGITS = 20
"""FreeSWITCH writes as few as it needs. More is no length, and int() of thousands raises."""

END = b"\n\n"


class NotEsl(Exception):
    """The peer does not speak the event socket's protocol, or is broken."""


@dataclass(frozen=True, slots=True)
class EslMessage:
    headers: dict[str, str]
    body: bytes = b""

    @property
    def kind(self) -> str:
        return self.headers.get("Content-Type", "")

    @property
    def reply(self) -> str:
        return self.headers.get("Reply-Text", "")


class EslParser:
    """Collects bytes until messages are complete. One parser belongs to one connection."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._headers: dict[str, str] | None = None
        self._length = 0

    def feed(self, data: bytes) -> list[EslMessage]:
        """Return the messages that these bytes complete."""
        self._waiting += data
        messages = []
        while self._head() and len(self._waiting) >= self._length:
            body = bytes(self._waiting[: self._length])
            del self._waiting[: self._length]
            messages.append(EslMessage(self._headers or {}, body))
            self._headers = None
        return messages

    def _head(self) -> bool:
        """Remove the headers once they are complete; return whether they are."""
        if self._headers is not None:
            return True
        while self._waiting.startswith(b"\n"):
            del self._waiting[:1]
        end = self._waiting.find(END)
        if end < 0:
            if len(self._waiting) > HEAD_LIMIT_BYTES:
                raise NotEsl(f"more than {HEAD_LIMIT_BYTES} bytes without an end")
            return False
        lines = bytes(self._waiting[:end]).decode("utf-8", "replace").split("\n")
        del self._waiting[: end + len(END)]
        pairs = (line.partition(":") for line in lines)
        self._headers = {name.strip(): value.strip() for name, _, value in pairs}
        self._length = _length(self._headers.get("Content-Length", "0"))
        return True


def _length(text: str) -> int:
    length = parse_int(text or "0", LENGTH_DIGITS)
    if length is None or length > BODY_LIMIT_BYTES:
        raise NotEsl("Content-Length is unusable")
    return length


def command(text: str) -> bytes:
    """Encode a command. Raises ValueError for a line break, which would begin another command."""
    if any(char in text for char in "\r\n\0"):
        raise ValueError("line break in a command")
    return f"{text}\n\n".encode()
