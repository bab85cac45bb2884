"""Calls that this process stored last, so that the next batch need not read them back.

store ─▶ Known ─▶ identity, sessions. Every transaction leaves a mark of its own on its PBX
(queries.events.lock_sources): what is known of a PBX holds as long as the mark found there is ours,
and is forgotten when another node has written, when a transaction failed, or when it is too much.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ingest.fold.event_log import EventLog
from ingest.model.events import CallEvent
from ingest.queries.aliases import Key
from ingest.queries.events import SourceTurn
from ingest.queries.sessions import StoredCall


@dataclass(slots=True)
class CachedCall:
    """All events of one call, and what was saved of it; None: no telephone so far."""

    source: str
    log: EventLog
    stored: StoredCall | None = None
    keys: list[Key] = field(default_factory=list)


class CallCache:
    """One transaction at a time uses it; `most_events` bounds its memory, about 1 KB each."""

    def __init__(self, most_events: int) -> None:
        self._most = most_events
        self._cached_events = 0
        self._turns: dict[str, UUID] = {}
        self._aliases: dict[Key, UUID] = {}
        self._calls: OrderedDict[UUID, CachedCall] = OrderedDict()

    @property
    def cached_events(self) -> int:
        return self._cached_events

    def validate(self, turns: Mapping[str, SourceTurn]) -> None:
        """Forget the calls of a PBX that somebody else has written since."""
        for source, turn in turns.items():
            if self._turns.pop(source, None) != turn.before or turn.before is None:
                theirs = [one for one, held in self._calls.items() if held.source == source]
                self.evict(theirs)

    def confirm(self, turns: Mapping[str, SourceTurn]) -> None:
        """Trust what was noted since check(), as it is committed; let go of what is too much."""
        self._turns |= {source: turn.now for source, turn in turns.items()}
        while self._cached_events > self._most:
            self.evict([next(iter(self._calls))])

    def clear(self) -> None:
        """Nobody knows what was committed."""
        self._turns.clear()
        self._aliases.clear()
        self._calls.clear()
        self._cached_events = 0

    def call_of(self, source: str, keys: Sequence[str]) -> UUID | None:
        """Return the call that all of these native ids are known to be; None when there is none."""
        found: UUID | None = None
        for key in keys:
            call_id = self._aliases.get((source, key))
            if call_id is None or (found is not None and call_id != found):
                return None
            found = call_id
        return found

    def find(self, keys: Iterable[Key]) -> dict[Key, UUID]:
        """Return the calls of these native ids, of those that are known."""
        aliases = self._aliases
        return {key: aliases[key] for key in keys if key in aliases}

    def get(self, call_id: UUID) -> CachedCall | None:
        return self._calls.get(call_id)

    def add(self, call_id: UUID, held: CachedCall, new: Iterable[CallEvent]) -> None:
        """Note that these events are the call's, too."""
        if call_id not in self._calls:
            self._calls[call_id] = held
            self._cached_events += len(held.log)
        else:
            self._calls.move_to_end(call_id)
        before = len(held.log)
        held.log.add(new)
        self._cached_events += len(held.log) - before

    def add_aliases(self, aliases: Mapping[Key, UUID]) -> None:
        """Note native ids of calls that are held."""
        for key, call_id in aliases.items():
            if key not in self._aliases and (held := self._calls.get(call_id)):
                self._aliases[key] = call_id
                held.keys.append(key)

    def evict(self, call_ids: Iterable[UUID]) -> None:
        """Read these from the database when they are asked for again."""
        for call_id in call_ids:
            if held := self._calls.pop(call_id, None):
                self._cached_events -= len(held.log)
                for key in held.keys:
                    self._aliases.pop(key, None)
