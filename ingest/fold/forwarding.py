"""Call forwarding: which telephone sent a call on to another one, without taking it.

channels ─▶ Forwarding ─▶ legs. A PBX tells that a telephone forwards a call, and to which
number. It then dials that number in its place, often by a Local channel: what has this number and
the same dialler is where the call was forwarded to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from ingest.fold.channels import PbxChannel
from ingest.fold.local_channels import NAMED

Halves = Callable[[PbxChannel], Iterable[PbxChannel]]
"""Returns the halves of the internal pairs by which a channel was dialled."""

MOST = 20
"""So many telephones that forward to one number are compared with each that is rung there."""


class Forwarding:
    """The channels of a call that forwarded it, by who dialled them and the number they told."""

    def __init__(self, channels: Iterable[PbxChannel]) -> None:
        self._by_number: dict[tuple[str, str], list[PbxChannel]] = defaultdict(list)
        self._before: dict[str, frozenset[str]] = {}
        forwarding = [one for one in channels if one.forwards]
        forwarding.sort(key=lambda one: (one.extension is None, one.extension or "", one.key))
        for source in forwarding:
            for dialler in source.dialled_by:
                for target in source.forwards:
                    found = self._by_number[dialler, target.removeprefix("+")]
                    if len(found) < MOST:
                        found.append(source)

    def source_of(self, own: Collection[PbxChannel], halves_of: Halves) -> str | None:
        """Return the extension that sent the call to a telephone; of several, the last one.

        `own` are the channels of the telephone, and the halves of the pairs by which it was
        dialled.
        """
        if not self._by_number:
            return None
        found = self._sources(own)
        earlier = {key for last in found for key in self._sources_before(last, halves_of)}
        sources = (one.extension for one in found if one.key not in earlier)
        return min((extension for extension in sources if extension), default=None)

    def _sources_before(self, source: PbxChannel, halves_of: Halves) -> frozenset[str]:
        """Return the channels that forwarded the call to one that forwards it."""
        if (known := self._before.get(source.key)) is None:
            found = self._sources([source, *halves_of(source)])
            known = self._before[source.key] = frozenset(one.key for one in found)
        return known

    def _sources(self, own: Collection[PbxChannel]) -> list[PbxChannel]:
        """Return the channels that forwarded a call to one of these."""
        found = {
            source.key: source
            for one in own
            for number in _numbers(one)
            for dialler in one.dialled_by
            for source in self._by_number.get((dialler, number), ())
            if source is not one
        }
        return list(found.values())


def _numbers(channel: PbxChannel) -> set[str]:
    """Return the numbers by which a channel may have been dialled."""
    named = NAMED.match(channel.pair or "")
    numbers = (channel.extension, channel.dialled, channel.dialled_e164, named and named[1])
    return {number.removeprefix("+") for number in numbers if number}
