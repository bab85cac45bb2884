"""The participants of a conversation, encoded once for everybody who has it in their list.

views ─▶ RosterCache ─▶ snapshot. The key is the list of participants as the database has it, so a
roster is never older than that; only the names in it may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from gateway.chat.queries.conversations import ListedParticipant, parse_participants
from gateway.protocol.codec import JsonFragment, fragment_of_text

MAX_ROSTERS = 2_000
"""Rosters in the cache: 4.5 KB each with twenty participants."""


class Roster(NamedTuple):
    """The listed participants of a conversation."""

    employee_ids: tuple[int, ...]
    participants: JsonFragment
    """A list of Participant."""


EMPTY_ROSTER = Roster((), fragment_of_text("[]"))


class RosterCache:
    """Encodes rosters and caches each for `ttl_s`, because the next hello needs it, too."""

    def __init__(
        self,
        names: Callable[[AbstractSet[int]], Awaitable[Mapping[int, str]]],
        *,
        ttl_s: float,
    ) -> None:
        self._names = names
        self._ttl_s = ttl_s
        self._rosters: dict[str, Roster] = {}
        self._expiry_scheduled = False

    def __len__(self) -> int:
        return len(self._rosters)

    async def get_many(self, lists: Iterable[str | None]) -> list[Roster]:
        """Return the roster of each of these OverviewRow.people."""
        wanted = list(lists)
        known = self._rosters
        unknown = {people for people in wanted if people and people not in known}
        if unknown:
            known = {people: known[people] for people in wanted if people in known}
            known.update(await self._encode(unknown))
        return [known[people] if people else EMPTY_ROSTER for people in wanted]

    async def _encode(self, unknown: AbstractSet[str]) -> Mapping[str, Roster]:
        seated = {people: parse_participants(people) for people in unknown}
        names = await self._names({seat.employee_id for seats in seated.values() for seat in seats})
        made = {people: _roster(seats, names) for people, seats in seated.items()}
        if len(self._rosters) + len(made) <= MAX_ROSTERS:
            self._rosters.update(made)
        if not self._expiry_scheduled and self._rosters:
            self._expiry_scheduled = True
            asyncio.get_running_loop().call_later(self._ttl_s, self._expire)
        return made

    def _expire(self) -> None:
        self._expiry_scheduled = False
        self._rosters = {}  # a new dict: whoever uses the old one keeps it


def _roster(seats: Sequence[ListedParticipant], names: Mapping[int, str]) -> Roster:
    """Encode these participants; those who are not in the CRM are left out."""
    known = [seat for seat in seats if seat.employee_id in names]
    participants = ",".join(
        f'{{"employee":{names[employee_id]},"role":"{role}","last_read_seq":{last_read_seq}}}'
        for employee_id, role, last_read_seq in known
    )
    return Roster(tuple(seat.employee_id for seat in known), fragment_of_text(f"[{participants}]"))
