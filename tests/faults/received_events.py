"""What all connections were told in one run, in columns: 40 bytes for each event instead of 400.

wire ─▶ ReceivedEvents ─▶ RoomCase ─▶ checker. Half an hour with 500 clients receives six million
events. Texts and keys are kept once for all who receive them, and an event is an object only while
its conversation is judged.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterable, MutableSequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, overload
from uuid import UUID

How = Literal["live", "resume"]
NONE = -1
"""Of numbers that may be missing."""

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A change of a conversation that a connection was told."""

    session: int
    reader: int
    conversation_id: int
    change: int
    at: float
    how: How
    type: str = "message.created"
    seq: int | None = None
    """Of a message that was stored; nothing for other changes."""
    key: UUID | None = None
    text: str = ""


class _Pool(Generic[T]):
    """Values that occur often, each kept once."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found


class ReceivedEvents(MutableSequence[ReceivedEvent]):
    """A list of them, in the order in which they came."""

    def __init__(self, events: Iterable[ReceivedEvent] = ()) -> None:
        self._numbers = tuple(array("i") for _ in range(8))
        """Session, reader, conversation, change, seq; numbers of type and how, of key, of text."""
        self._at = array("d")
        self._kinds: _Pool[tuple[str, How]] = _Pool()
        self._keys: _Pool[UUID | None] = _Pool()
        self._texts: _Pool[str] = _Pool()
        self.extend(events)

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> ReceivedEvent: ...
    @overload
    def __getitem__(self, index: slice) -> ReceivedEvents: ...
    def __getitem__(self, index: int | slice) -> ReceivedEvent | ReceivedEvents:
        if isinstance(index, slice):
            return ReceivedEvents(self[one] for one in range(*index.indices(len(self))))
        session, reader, cid, change, seq, kind, key, text = (one[index] for one in self._numbers)
        type_, how = self._kinds.values[kind]
        return ReceivedEvent(
            session,
            reader,
            cid,
            change,
            self._at[index],
            how,
            type_,
            None if seq == NONE else seq,
            self._keys.values[key],
            self._texts.values[text],
        )

    def __setitem__(self, index: Any, event: Any) -> None:
        for column, number in zip(self._numbers, self._row(event), strict=True):
            column[index] = number
        self._at[index] = event.at

    def __delitem__(self, index: int | slice) -> None:
        for column in self._numbers:
            del column[index]
        del self._at[index]

    def insert(self, index: int, event: ReceivedEvent) -> None:
        for column, number in zip(self._numbers, self._row(event), strict=True):
            column.insert(index, number)
        self._at.insert(index, event.at)

    def append(self, event: ReceivedEvent) -> None:
        for column, number in zip(self._numbers, self._row(event), strict=True):
            column.append(number)
        self._at.append(event.at)

    def count_how(self) -> dict[How, int]:
        """Return how many came live, and by resume."""
        found: dict[How, int] = {"live": 0, "resume": 0}
        for kind in self._numbers[5]:
            found[self._kinds.values[kind][1]] += 1
        return found

    def by_conversation(self) -> dict[int, array[int]]:
        """Return conversation → the indexes of its events, in their order."""
        found: dict[int, array[int]] = defaultdict(lambda: array("i"))
        for index, cid in enumerate(self._numbers[2]):
            found[cid].append(index)
        return dict(found)

    def _row(self, event: ReceivedEvent) -> tuple[int, ...]:
        return (
            event.session,
            event.reader,
            event.conversation_id,
            event.change,
            NONE if event.seq is None else event.seq,
            self._kinds.number((event.type, event.how)),
            self._keys.number(event.key),
            self._texts.number(event.text),
        )
