"""AMI on the wire: bytes ⇄ messages, no I/O.

socket or recording ─▶ AmiParser ─▶ AmiMessage ─▶ normalise.asterisk. Characters and messages may be
split over any number of reads, and one read may have any number of messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MESSAGE_LIMIT_BYTES = 256 * 1024
"""The largest of 57,880 recorded messages has 1.3 KiB; the value of a variable may be long."""

END = b"\r\n\r\n"
BANNER = b"Asterisk Call Manager/"
LONGEST_BANNER = 200


class MessageTooLong(Exception):
    """The peer sends a message without end: it does not speak AMI, or is broken."""


@dataclass(frozen=True, slots=True)
class AmiMessage:
    """Its fields in their order; a name may come more than once (Output, ChanVariable)."""

    fields: tuple[tuple[str, str], ...]

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of this name."""
        return next((value for key, value in self.fields if key == name), default)

    def first(self) -> dict[str, str]:
        """Return each name with its first value."""
        return dict(reversed(self.fields))

    @property
    def event(self) -> str | None:
        """Its event name; None for a response."""
        return self.get("Event") or None


class AmiParser:
    """Collects bytes until messages are complete. One parser belongs to one connection."""

    def __init__(self, *, limit_bytes: int = MESSAGE_LIMIT_BYTES) -> None:
        self.banner: str | None = None
        self._limit_bytes = limit_bytes
        self._waiting = bytearray()
        self._searched = 0
        """How many waiting bytes were searched for an end; they are not searched again."""

    def feed(self, data: bytes) -> list[AmiMessage]:
        """Return the messages that these bytes complete."""
        self._waiting += data
        self._remove_banner()
        messages, begin = [], 0
        while (end := self._waiting.find(END, max(begin, self._searched))) >= 0:
            messages.append(parse(bytes(self._waiting[begin:end])))
            begin = self._searched = end + len(END)
        del self._waiting[:begin]
        self._searched = max(0, len(self._waiting) - len(END) + 1)
        if len(self._waiting) > self._limit_bytes:
            raise MessageTooLong(f"more than {self._limit_bytes} bytes without an end")
        return messages

    def _remove_banner(self) -> None:
        """Remove the greeting: a connection's first line, ended by one line break, not two."""
        if self.banner is None and self._waiting.startswith(BANNER):
            end = self._waiting.find(b"\r\n", 0, LONGEST_BANNER)
            if end >= 0:
                self.banner = self._waiting[:end].decode("ascii", "replace")
                del self._waiting[: end + 2]
                self._searched = 0


def parse(block: bytes) -> AmiMessage:
    """Parse one message. Bytes that are not UTF-8 become U+FFFD, as in Asterisk itself."""
    lines = block.decode("utf-8", "replace").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return AmiMessage(tuple((name, value.removeprefix(" ")) for name, _, value in pairs))


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """Encode an action. Raises ValueError for a line break, which would begin another action."""
    lines = []
    for name, value in fields:
        if any(char in name + value for char in "\r\n\0"):
            raise ValueError(f"line break in AMI field {name!r}")
        lines.append(f"{name}: {value}\r\n")
    return ("".join(lines) + "\r\n").encode()
