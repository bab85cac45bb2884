"""Who may read which topics of the CRM: by a permission for the kind, or by crm.topic_readers.

sockets/watch/topic_watches.py ─▶ TopicReaders. A topic that nobody gives a right to is nobody's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gateway.context import Context, Services
from gateway.events.queries import readers as queries

PAIRS = 2_000
"""Topics and employees that one statement asks about."""

VIEW = "topic_readers"


class TopicReaders:
    """The rights to topics."""

    def __init__(self, services: Services, kinds: Mapping[str, str]) -> None:
        """`kinds`: kind of topic → the permission that lets somebody read all of it."""
        self._services = services
        self._kinds = kinds

    async def readable(self, context: Context, topics: Sequence[str]) -> Collection[str]:
        """Return those of these topics that an employee may read.

        ContractUnavailable when the view would decide, and is off at this moment.
        """
        views = self._services.crm_views
        if len(self._by_permission(context, topics)) < len(topics) and views.may_return(VIEW):
            views.require(VIEW)
        [found] = await self.readable_by_all([(context, topics)])
        return found

    async def readable_by_all(
        self, watched: Sequence[tuple[Context, Sequence[str]]]
    ) -> list[Collection[str]]:
        """Return, for each employee and their topics, those that they may read."""
        found = [self._by_permission(context, topics) for context, topics in watched]
        pairs = [
            (number, topic)
            for number, (_, topics) in enumerate(watched)
            for topic in topics
            if topic not in found[number]
        ]
        for start in range(0, len(pairs), PAIRS):
            some = pairs[start : start + PAIRS]
            async with self._services.connection() as conn:
                may = await queries.readable(
                    conn,
                    topics=[topic for _, topic in some],
                    employee_ids=[watched[number][0].user_id for number, _ in some],
                )
            for place in may:
                number, topic = some[place]
                found[number].add(topic)
        return [*found]

    def _by_permission(self, context: Context, topics: Sequence[str]) -> set[str]:
        permissions = context.identity.permissions
        return {one for one in topics if self._kinds.get(kind_of(one)) in permissions}


def kind_of(topic: str) -> str:
    """Return the kind of a topic `crm:{kind}:{id}`."""
    return topic.split(":", 2)[1]
