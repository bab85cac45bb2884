"""The pub/sub commands of a single Redis server, and those of a Redis Cluster.

In a cluster a plain PUBLISH goes to every server. Sharded pub/sub stays on the server that has the
channel's slot; the topic in braces decides the slot.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PubSubDialect:
    """Names of commands and of replies, and how a topic becomes a channel."""

    subscribe: str
    unsubscribe: str
    publish: str
    message: bytes
    subscribed: bytes
    unsubscribed: bytes
    channel_prefix: str
    channel_suffix: str
    """What precedes and follows the topic in a channel's name."""
    channels_per_command: int
    """Channels that one command may name; a cluster's are seldom in the same slot."""

    def channel(self, topic: str) -> bytes:
        return f"{self.channel_prefix}{topic}{self.channel_suffix}".encode()

    def topic(self, channel: bytes) -> str:
        end = len(channel) - len(self.channel_suffix)
        return channel.decode()[len(self.channel_prefix) : end]


def plain(prefix: str) -> PubSubDialect:
    """Return the commands of a single server."""
    return PubSubDialect(
        "SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH", b"message", b"subscribe", b"unsubscribe",
        prefix, "", 512,
    )  # fmt: skip


def sharded(prefix: str) -> PubSubDialect:
    """Return the commands of a cluster."""
    return PubSubDialect(
        "SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH", b"smessage", b"ssubscribe", b"sunsubscribe",
        prefix + "{", "}", 1,
    )  # fmt: skip
