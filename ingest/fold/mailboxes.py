"""Mailboxes: which one a caller reached, and whether they left a message there.

channels ─▶ reached ─▶ fold, in_place ─▶ queue_stints, before_mailbox ─▶ legs. The
channel that reached it need not be a telephone's: a queue member's pair, or a pair that is dialled
inside, may lead into a mailbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ingest.fold.channels import PbxChannel
from ingest.fold.intervals import Interval
from ingest.fold.near_times import not_before

NONE = (None, None)
NOBODY: frozenset[str] = frozenset()


def in_place(channels: Mapping[str, PbxChannel]) -> frozenset[str]:
    """Return the channels that stand for a mailbox: one that was rung in place of a telephone."""
    into = [channel for channel in channels.values() if channel.mailboxes]
    if not into:
        return NOBODY
    pairs = {channel.pair for channel in into} - {None}
    return frozenset(
        channel.key for channel in channels.values() if channel in into or channel.pair in pairs
    )


def before_mailbox(talks: tuple[Interval, ...], channel: PbxChannel) -> tuple[Interval, ...]:
    """Return the conversations of a called telephone before it was sent to a mailbox.

    What begins there is a conversation with the mailbox, picked up in the telephone's place.
    """
    if not channel.mailboxes:
        return talks
    at = min(channel.mailboxes)[0][0]
    return tuple(
        (start, at if end is None else min(end, at))
        for start, end in talks
        if not not_before(start, at)
    )


def reached(channels: Iterable[PbxChannel]) -> tuple[str | None, bool | None]:
    """Return the last mailbox, and whether there is a message, None when the PBX does not tell.

    What is told about messages without a mailbox is of an employee who listens to theirs.
    """
    at = [channel for channel in channels if channel.mailboxes]
    if not at:
        return NONE
    told = {left for channel in at for left in channel.messages}
    _, mailbox = max(max(channel.mailboxes) for channel in at)
    return mailbox, any(told) if told else None
