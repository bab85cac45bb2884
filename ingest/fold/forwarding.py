"""Call forwarding: which telephone sent a call on to another one, without taking it.

channels ─▶ forwarded_from ─▶ legs. A PBX tells that a telephone forwards a call, and to which
number. It then dials that number in its place, often by a Local channel: what has this number and
the same dialler is where the call was forwarded to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from ingest.fold.channels import PbxChannel
from ingest.fold.local_channels import NAMED

Halves = Callable[[PbxChannel], Iterable[PbxChannel]]
"""Returns the halves of the internal pairs by which a channel was dialled."""


def forwarded_from(
    own: Collection[PbxChannel], forwarding: Sequence[PbxChannel], halves_of: Halves
) -> str | None:
    """Return the extension that sent the call to a telephone; of several in a row, the last one.

    `own` are the channels of the telephone, and the halves of the pairs by which it was dialled.
    """
    found = _sources(own, forwarding)
    earlier = {one.key for last in found for one in _sources([last, *halves_of(last)], forwarding)}
    sources = (one.extension for one in found if one.key not in earlier)
    return min((extension for extension in sources if extension), default=None)


def _sources(own: Collection[PbxChannel], forwarding: Sequence[PbxChannel]) -> list[PbxChannel]:
    """Return the channels that forwarded a call to one of these."""
    return [
        source
        for source in forwarding
        if any(
            one is not source and one.dialled_by & source.dialled_by and _has_number(one, source)
            for one in own
        )
    ]


def _has_number(channel: PbxChannel, source: PbxChannel) -> bool:
    """Return whether a channel was dialled by a number to which another one forwarded."""
    named = NAMED.match(channel.pair or "")
    numbers = {channel.extension, channel.dialled, channel.dialled_e164, named and named[1]}
    return any(target in numbers or f"+{target}" in numbers for target in source.forwards)
