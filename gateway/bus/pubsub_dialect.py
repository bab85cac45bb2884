"""The words of pub/sub: those of one server, and those of a cluster.

In a cluster a plain PUBLISH goes to every node. Sharded pub/sub stays with the one that has the
channel's slot, and the topic in braces says which slot that is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PubSubDialect:
    """What is said, and what is heard."""

    subscribe: str
    unsubscribe: str
    publish: str
    message: bytes
    subscribed: bytes
    unsubscribed: bytes
    channel_prefix: str
    channel_suffix: str
    """What stands on both sides of the topic in a channel's name."""
    channels_per_command: int
    """Channels that one command may name: those of a cluster are seldom of the same slot."""

    def channel(self, topic: str) -> bytes:
        return f"{self.channel_prefix}{topic}{self.channel_suffix}".encode()

    def topic(self, channel: bytes) -> str:
        return channel.decode()[len(self.channel_prefix) : len(channel) - len(self.channel_suffix)]


def plain(prefix: str) -> PubSubDialect:
    """Return the words of one server."""
    return PubSubDialect(
        "SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH", b"message", b"subscribe", b"unsubscribe",
        prefix, "", 512,
    )  # fmt: skip


def sharded(prefix: str) -> PubSubDialect:
    """Return the words of a cluster."""
    return PubSubDialect(
        "SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH", b"smessage", b"ssubscribe", b"sunsubscribe",
        prefix + "{", "}", 1,
    )  # fmt: skip
