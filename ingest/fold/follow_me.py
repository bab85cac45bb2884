"""Follow-me: a mobile that rings for one of our telephones belongs to that telephone.

channels ─▶ member_of ─▶ legs. A queue, or a caller, rings a member by a pair of Local channels that
has the member's extension for a name; behind it ring the telephone and, over a trunk, the mobile.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime

from ingest.fold.channels import PbxChannel
from ingest.fold.near_times import not_after

LISTED = re.compile(r"^Local/FMGL-")
"""FreePBX dials a number of an extension's follow-me list by such a pair."""
FIRST = re.compile(r"^Local/FMPR-(\d{2,6})@")
"""And first, or at the same time, the extension itself."""

Diallers = Callable[[PbxChannel], AbstractSet[str]]
"""Returns the channels that dialled one, directly or through internal pairs."""


def member_of(
    mobile: PbxChannel,
    between: Iterable[PbxChannel],
    channels: dict[str, PbxChannel],
    diallers: Diallers,
) -> str | None:
    """Return the extension for which an outside telephone was rung; None if for itself."""
    pairs: dict[str, list[PbxChannel]] = defaultdict(list)
    for half in between:
        pairs[half.pair or half.key].append(half)
    members = [
        extension
        for _, halves in sorted(pairs.items())
        if (extension := _named(halves))
        and _rang_before_answer(mobile, halves)
        and (
            any(half.member for half in halves)
            or _has_telephone(extension, halves, channels, diallers)
        )
    ]
    if members:
        return members[0] if len(set(members)) == 1 else None
    listed = {half.key for name, halves in pairs.items() if LISTED.match(name) for half in halves}
    return _of_list(listed, channels) if listed else None


def _named(halves: list[PbxChannel]) -> str | None:
    """Return the extension that a dialled pair has for a name."""
    if not any(half.half == 1 and half.dialled_by for half in halves):
        return None
    return next((half.extension for half in halves if half.extension), None)


def _rang_before_answer(mobile: PbxChannel, halves: list[PbxChannel]) -> bool:
    """Return whether it rang for the pair: what was dialled after an answer is a transfer."""
    answered = min((at for half in halves if half.half == 1 for at in half.answered), default=None)
    offered = min(mobile.offered, default=None)
    return offered is not None and (answered is None or not_after(offered, answered))


def _has_telephone(
    extension: str,
    halves: list[PbxChannel],
    channels: dict[str, PbxChannel],
    diallers: Diallers,
) -> bool:
    """Return whether the pair also rang the telephone itself: it is not a group's number."""
    far = {half.key for half in halves if half.half == 2}
    return any(
        channel.extension == extension and channel.pair is None and far & diallers(channel)
        for channel in channels.values()
    )


def _of_list(listed: AbstractSet[str], channels: dict[str, PbxChannel]) -> str | None:
    """Return the extension in whose list a caller's own channel dialled these numbers.

    Without a pair that names it, it is the one telephone that rang with them.
    """
    by = {key for one in listed for key in channels[one].dialled_by} - listed
    at = min((at for one in listed for at in channels[one].offered), default=None)
    if at is None:
        return None
    rung = [one for one in channels.values() if one.dialled_by & by and _rang_by(one, at)]
    first = [(one.offered, found[1]) for one in rung if (found := FIRST.match(one.pair or ""))]
    if first:
        return max((min(offered), extension) for offered, extension in first)[1]
    own = {one.extension for one in rung if one.extension and one.pair is None and _rings(one, at)}
    return own.pop() if len(own) == 1 else None


def _rang_by(channel: PbxChannel, at: datetime) -> bool:
    """Return whether it was dialled by then, and not answered before."""
    offered, answered = min(channel.offered, default=None), min(channel.answered, default=None)
    return (
        offered is not None
        and not_after(offered, at)
        and (answered is None or not_after(at, answered))
    )


def _rings(channel: PbxChannel, at: datetime) -> bool:
    """Return whether it has not stopped ringing by then."""
    ended = min(channel.ended, default=None)
    return ended is None or not_after(at, ended)
