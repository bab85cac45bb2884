"""What hellos read: who it is, their chats and calls, their colleagues' names and presences.

welcome ─▶ Arrivals ─▶ database, presence store. Hellos that come together are read together, so
that a storm of them costs a few statements for sixteen instead of eight for each one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from gateway import auth
from gateway.auth.permissions import CALLBACKS_HANDLE
from gateway.auth.queries import employees_batch
from gateway.batch_loader import BatchLoader, Spawn
from gateway.chat.queries import conversations
from gateway.context import Services
from gateway.hello import views
from gateway.hello.queries import overview
from gateway.hello.rosters import Roster, RosterCache
from gateway.hello.snapshot import EmployeeView, PresenceJson
from gateway.hello.ttl_cache import TtlCache
from gateway.hello.views import ViewRequest
from gateway.people.presences import to_wire
from gateway.protocol.codec import encode, printed
from gateway.telephony.agents import agents
from gateway.telephony.callbacks import callbacks
from gateway.telephony.callbacks.queries.callbacks import OpenCount
from gateway.telephony.calls import calls
from presence import PresenceState

NAMES_TTL_S = 1.0
"""How long names, photos and departments are kept, and again what is printed with them."""

PRESENCES_TTL_S = 0.5
"""How old a presence may be. What this node hears of is in it at once; of others' changes a client
learns when it watches them, and the higher version counts."""


class Authenticated(NamedTuple):
    """Who said hello, and the conversations to hear before anything else is read."""

    identity: auth.Identity
    conversations: list[int]


class HelloReads:
    """Reads for all hellos of one node; the snapshot's Sources."""

    def __init__(self, services: Services, *, max_topics: int, spawn: Spawn) -> None:
        self._services = services
        self._max_topics = max_topics
        self._employees = BatchLoader(self._read_employees, spawn=spawn, name="hello.newcomers")
        self._views = BatchLoader(self._read_views, spawn=spawn, name="hello.views")
        self._callbacks = BatchLoader(self._count_callbacks, spawn=spawn, name="hello.callbacks")
        self._names = TtlCache(self._read_names, spawn=spawn, name="hello.names", ttl_s=NAMES_TTL_S)
        self._rosters = RosterCache(self._names.get_many, ttl_s=NAMES_TTL_S)
        self._presences = TtlCache(
            self._read_presences,
            spawn=spawn,
            name="hello.presences",
            ttl_s=PRESENCES_TTL_S,
            newer=lambda known, read: known.version > read.version,
        )

    async def authenticate(self, claims: auth.Claims) -> Authenticated:
        """Return whom these claims name; EmployeeDisabled when they may not come in."""
        found, conversation_ids = await self._employees.load(claims.employee_id)
        return Authenticated(auth.admit(found, claims), conversation_ids)

    async def view(self, asked: ViewRequest) -> EmployeeView:
        """Return someone's chats and calls, and what they do, as of a moment after this call."""
        return await self._views.load(asked)

    async def count_open_callbacks(self, identity: auth.Identity) -> OpenCount | None:
        """Return how many call-back requests are open; None for who may not handle them."""
        if CALLBACKS_HANDLE not in identity.permissions:
            return None
        return await self._callbacks.load(identity.user_id)

    async def rosters(self, lists: Iterable[str | None]) -> list[Roster]:
        """Return the roster of each of these Line.people; names are at most 2 NAMES_KEPT_S old."""
        return await self._rosters.get_many(lists)

    async def presences(self, employee_ids: AbstractSet[int]) -> Mapping[int, PresenceJson]:
        """Return employee → presence, at most PRESENCES_KEPT_S old; others may be among them."""
        return await self._presences.get_many(employee_ids)

    def update_presences(self, changed: Iterable[PresenceState]) -> None:
        """Take note of presences that were announced, here or by another node."""
        known = list(changed)
        self._services.presence.merge_remote(known)
        for one in known:
            self._presences.put(one.user_id, _presence_json(one))

    # --- reading ---------------------------------------------------------------------------

    async def _read_employees(
        self, employee_ids: Sequence[int]
    ) -> list[tuple[auth.Found | None, list[int]]]:
        most = self._max_topics
        async with self._services.connection() as conn:
            standing = await employees_batch.standing(conn, set(employee_ids))
            heard = await overview.heard(conn, list(standing), most)
            for employee_id, conversation_ids in heard.items():
                if len(conversation_ids) > most:  # only the newest are heard live
                    members = await conversations.memberships(conn, employee_id, most)
                    heard[employee_id] = [member.conversation_id for member in members]
        return [(standing.get(one), heard.get(one, [])) for one in employee_ids]

    async def _read_views(self, asked: Sequence[ViewRequest]) -> list[EmployeeView]:
        people = {one.employee_id for one in asked}
        async with self._services.connection() as conn:
            found = await views.read_views(conn, asked, max_topics=self._max_topics)
            live = await calls.live(conn, people)
            states = await agents.states(conn, people)
        return [
            EmployeeView(view, live.get(one.employee_id, []), states.get(one.employee_id))
            for one, view in zip(asked, found, strict=True)
        ]

    async def _count_callbacks(self, asked: Sequence[int]) -> list[OpenCount]:
        return [await callbacks.count_open(self._services)] * len(asked)

    async def _read_names(self, employee_ids: Sequence[int]) -> Mapping[int, str]:
        async with self._services.connection() as conn:
            found = await employees_batch.named(conn, employee_ids)
        return {employee.id: encode(employee).decode() for employee in found}

    async def _read_presences(self, employee_ids: Sequence[int]) -> Mapping[int, PresenceJson]:
        found = await self._services.presence.fetch(employee_ids)
        return {employee_id: _presence_json(one) for employee_id, one in found.items()}


def _presence_json(presence: PresenceState) -> PresenceJson:
    return PresenceJson(presence.version, printed(to_wire(presence)))
