"""What hellos read: the employee, chats and calls, colleagues' names and presences.

joining ─▶ HelloReads ─▶ database, presence store. Hellos that come together are read together: in
a storm of them, sixteen cost a few statements instead of six each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from gateway import auth
from gateway.auth.queries import employees_batch
from gateway.batch_loader import BatchLoader, Spawn
from gateway.chat.queries import conversations
from gateway.context import Services
from gateway.hello import views
from gateway.hello.queries import overview
from gateway.hello.rosters import RosterCache
from gateway.hello.snapshot import EmployeeView, PresenceJson
from gateway.hello.ttl_cache import TtlCache
from gateway.hello.views import ViewRequest
from gateway.people.presences import to_wire
from gateway.protocol.codec import encode, fragment
from gateway.telephony.agents import agents
from gateway.telephony.callbacks.queries.callbacks import OpenCount, count_open
from gateway.telephony.calls import calls
from presence import PresenceState

NAMES_TTL_S = 1.0
"""How long names, photos and departments are cached; rosters encoded with them as long again."""

PRESENCES_TTL_S = 0.5
"""How old a presence may be. Changes that this node receives are in it at once; a client gets the
others when it watches those people, and the higher version counts."""


class Authenticated(NamedTuple):
    """Who sent hello, and the conversations to join before anything else is read."""

    identity: auth.Identity
    conversations: list[int]


class HelloReads:
    """Reads for all hellos of one node."""

    def __init__(self, services: Services, *, max_topics: int, spawn: Spawn) -> None:
        self._services = services
        self._max_topics = max_topics
        self._newcomers = BatchLoader(self._read_newcomers, spawn=spawn, name="hello.newcomers")
        self._views = BatchLoader(self._read_views, spawn=spawn, name="hello.views")
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
        """Return the employee of these claims; EmployeeDisabled when they may not connect."""
        found, conversation_ids = await self._newcomers.load(claims)
        return Authenticated(auth.admit(found, claims), conversation_ids)

    async def read_view(self, request: ViewRequest) -> EmployeeView:
        """Return what a welcome contains, read after this call.

        Except for names, which are at most 2 NAMES_TTL_S old, and presences, PRESENCES_TTL_S.
        """
        return await self._views.load(request)

    def update_presences(self, changed: Iterable[PresenceState]) -> None:
        """Store presences that were announced, here or by another node."""
        known = list(changed)
        self._services.presence.merge_remote(known)
        for one in known:
            self._presences.put(one.user_id, _presence_json(one))

    # --- reading ---------------------------------------------------------------------------

    async def _read_newcomers(
        self, asking: Sequence[auth.Claims]
    ) -> list[tuple[auth.EmployeeRecord | None, list[int]]]:
        most = self._max_topics
        async with self._services.connection() as conn:
            found, revoked = await overview.newcomers(
                conn,
                {one.employee_id for one in asking},
                {one.token_id for one in asking},
                most,
            )
            joined = {employee_id: one.joined for employee_id, one in found.items()}
            for employee_id, conversation_ids in joined.items():
                if len(conversation_ids) > most:  # only the newest are joined
                    members = await conversations.list_positions(conn, employee_id, most)
                    joined[employee_id] = [member.conversation_id for member in members]
        records = {employee_id: one.record for employee_id, one in found.items()}
        return [
            (
                _of_token(records.get(one.employee_id), revoked=one.token_id in revoked),
                joined.get(one.employee_id, []),
            )
            for one in asking
        ]

    async def _read_views(self, requests: Sequence[ViewRequest]) -> list[EmployeeView]:
        people = {one.employee_id for one in requests}
        counted: OpenCount | None = None
        async with self._services.connection() as conn:
            chats = await views.read_views(conn, requests, max_topics=self._max_topics)
            live = await calls.live(conn, people)
            states = await agents.states_of(conn, live.keys())
            if any(one.counts_callbacks for one in requests):
                counted = await count_open(conn)
        rosters = await self._rosters.get_many(line.people for view in chats for line in view.lines)
        presences = await self._presences.get_many(
            {one for roster in rosters for one in roster.employee_ids}
        )
        following = iter(rosters)
        return [
            EmployeeView(
                view,
                list(islice(following, len(view.lines))),
                presences,
                live.get(one.employee_id, []),
                states.get(one.employee_id),
                counted if one.counts_callbacks else None,
            )
            for one, view in zip(requests, chats, strict=True)
        ]

    async def _read_names(self, employee_ids: Sequence[int]) -> Mapping[int, str]:
        async with self._services.connection() as conn:
            found = await employees_batch.find_profiles(conn, employee_ids)
        return {employee.id: encode(employee).decode() for employee in found}

    async def _read_presences(self, employee_ids: Sequence[int]) -> Mapping[int, PresenceJson]:
        found = await self._services.presence.fetch(employee_ids)
        return {employee_id: _presence_json(one) for employee_id, one in found.items()}


def _of_token(found: auth.EmployeeRecord | None, *, revoked: bool) -> auth.EmployeeRecord | None:
    return replace(found, revoked=True) if found is not None and revoked else found


def _presence_json(presence: PresenceState) -> PresenceJson:
    return PresenceJson(presence.version, fragment(to_wire(presence)))
