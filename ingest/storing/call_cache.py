"""CallCache: the calls that this process stored last, so the next batch need not read them back.

store ─▶ CallCache ─▶ identity, sessions. Every transaction writes a mark of its own for its PBX
(queries.events.lock_sources). The cached calls of a PBX are valid while the mark found there is
ours. They are evicted when another node has written, when a transaction failed, and the oldest when
the cache is full.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ingest.fold.event_log import EventLog
from ingest.model.events import CallEvent
from ingest.queries.aliases import NativeId
from ingest.queries.events import SourceTurn
from ingest.queries.sessions import StoredCall
from ingest.storing.further_calls import FurtherCalls

MAX_OVERLONG = 1_000
"""Calls with too many events that are remembered, so that they are not read for each event."""


@dataclass(slots=True)
class CachedCall:
    """All events of one call, and its stored state; None while it has no leg."""

    source: str
    log: EventLog
    stored: StoredCall | None = None
    keys: list[NativeId] = field(default_factory=list)
    further: FurtherCalls | None = None
    """The calls of other callers in its conference; None: not read yet."""


class CallCache:
    """Used by one transaction at a time. `most_events` bounds its memory: about 1 KB an event."""

    def __init__(self, most_events: int) -> None:
        self._most = most_events
        self._cached_events = 0
        self._turns: dict[str, UUID] = {}
        self._aliases: dict[NativeId, UUID] = {}
        self._calls: OrderedDict[UUID, CachedCall] = OrderedDict()
        self._overlong: OrderedDict[UUID, None] = OrderedDict()

    @property
    def cached_events(self) -> int:
        return self._cached_events

    def validate(self, turns: Mapping[str, SourceTurn]) -> None:
        """Evict the calls of each PBX for which another process has written since."""
        for source, turn in turns.items():
            if self._turns.pop(source, None) != turn.before or turn.before is None:
                theirs = [one for one, cached in self._calls.items() if cached.source == source]
                self.evict(theirs)

    def confirm(self, turns: Mapping[str, SourceTurn]) -> None:
        """Keep what was added since validate(), as it is committed; evict the oldest if full."""
        self._turns |= {source: turn.now for source, turn in turns.items()}
        while self._cached_events > self._most:
            self.evict([next(iter(self._calls))])

    def clear(self) -> None:
        """Evict everything: after an error it is not known what was committed."""
        self._turns.clear()
        self._aliases.clear()
        self._calls.clear()
        self._overlong.clear()
        self._cached_events = 0

    def call_of(self, source: str, keys: Sequence[str]) -> UUID | None:
        """Return the one cached call that all of these native ids belong to; else None."""
        found: UUID | None = None
        for key in keys:
            call_id = self._aliases.get((source, key))
            if call_id is None or (found is not None and call_id != found):
                return None
            found = call_id
        return found

    def find(self, keys: Iterable[NativeId]) -> dict[NativeId, UUID]:
        """Return the calls of these native ids, as far as they are cached."""
        aliases = self._aliases
        return {key: aliases[key] for key in keys if key in aliases}

    def get(self, call_id: UUID) -> CachedCall | None:
        return self._calls.get(call_id)

    def add(self, call_id: UUID, cached: CachedCall, new: Iterable[CallEvent]) -> None:
        """Add events to a call, and the call if it is new here."""
        if call_id not in self._calls:
            self._calls[call_id] = cached
            self._cached_events += len(cached.log)
        else:
            self._calls.move_to_end(call_id)
        before = len(cached.log)
        cached.log.add(new)
        self._cached_events += len(cached.log) - before

    def is_overlong(self, call_id: UUID) -> bool:
        """Whether this call had too many events when they were read: it will not have fewer."""
        return call_id in self._overlong

    def mark_overlong(self, call_id: UUID) -> None:
        """Evict a call with too many events, and remember that it is one."""
        self.evict([call_id])
        self._overlong[call_id] = None
        if len(self._overlong) > MAX_OVERLONG:
            self._overlong.popitem(last=False)

    def add_aliases(self, aliases: Mapping[NativeId, UUID]) -> None:
        """Add native ids of cached calls."""
        for key, call_id in aliases.items():
            if key not in self._aliases and (cached := self._calls.get(call_id)):
                self._aliases[key] = call_id
                cached.keys.append(key)

    def evict(self, call_ids: Iterable[UUID]) -> None:
        """Remove these calls; they are read from the database when needed again."""
        for call_id in call_ids:
            if cached := self._calls.pop(call_id, None):
                self._cached_events -= len(cached.log)
                for key in cached.keys:
                    self._aliases.pop(key, None)
