"""Who watches which queues on this node, and the changes that watchers and agents must be sent.

bus ─▶ QueueWatches ─▶ two statements for all that changed ─▶ sessions. At most once a second, and
never more than a twentieth of the time, the node reads what may have changed: queues that somebody
watches, agents who are connected here or watched. Only states that differ are sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import structlog

from gateway import topics
from gateway.batch_loader import BatchLoader, Spawn
from gateway.bus import Announcement
from gateway.context import Services
from gateway.delivery.delivery import Delivery
from gateway.delivery.lanes import lane_of
from gateway.delivery.shared_frame import SharedFrame
from gateway.protocol import AgentState, QueueLive, QueueUnwatched, QueueWatch, QueueWatched
from gateway.sockets.watch.calls import OF_CALLS, CallReconciler
from gateway.sockets.watch.queue_changes import PublishedQueues
from gateway.sockets.watch.queue_subscription import QueueSubscription, TimedChanges, names_of
from gateway.sockets.watch.watching_session import WatchingSession
from gateway.telephony.agents import agents, wallboard
from gateway.telephony.agents.agents import Agent
from gateway.telephony.agents.wallboard import LocalDay, SnapshotRequest, WatchedStates
from gateway.telephony.calls.announce import AGENT_RECHECK
from gateway.telephony.stats import stats

log = structlog.get_logger(__name__)

QUEUE_LANE: Final = lane_of("queue.changed")
AGENT_LANE: Final = lane_of("agent.state_changed")

FIRST_S = 0.05  # what comes together is read together
CONFLATE_S = 1.0
SHARE = 20
"""Reading takes at most one SHARE-th of the time, however long one read takes."""
MAX_TOGETHER = 100
"""Watchers whose snapshots are made of one reading; those who come meanwhile share the next one."""
SNAPSHOTS: Final = "queues.snapshots"
"""Whose turns of the loop they take: those of all watchers."""
READ_ALL_EVERY = 6
"""Rounds after which all that is watched is read again: a worker may have died between COMMIT and
announcement. While the bus is away: each round."""


class QueueWatches:
    """The watchers of one node, and the states that they were sent."""

    def __init__(
        self,
        services: Services,
        delivery: Delivery,
        calls: CallReconciler,
        *,
        tz: str,
        check_s: float,
        spawn: Spawn,
    ) -> None:
        self._services = services
        self._snapshots: BatchLoader[SnapshotRequest, WatchedStates] = BatchLoader(
            lambda requests: services.turns.run(SNAPSHOTS, wallboard.snapshots(services, requests)),
            spawn=spawn,
            name="queues.snapshots",
            max_batch=MAX_TOGETHER,
        )
        self._delivery = delivery
        self._calls = calls
        self._tz = tz
        """The time zone of watchers who name none."""
        self._check_s = check_s
        self._watchers: dict[WatchingSession, QueueSubscription] = {}
        self._queues: set[str] = set()
        self._people: set[int] = set()
        self._everything = False
        """Read all that is watched."""
        self._published = PublishedQueues()
        self._timed = TimedChanges()
        self._unsent: dict[WatchingSession, dict[str, bytes]] = {}
        self._wake = asyncio.Event()
        self._untidy = False

    def register(self) -> None:
        """Have everything delivered here that changes what watchers see."""
        for happened in OF_CALLS:  # a call changes the state of its agents
            self._delivery.hub.on_delivered(happened, self._call_delivered)
        self._delivery.handle_topic(topics.QUEUES, self.queues_changed)
        self._delivery.handle_topic(topics.QUEUE_CALLS, self.call_changed)
        self._delivery.handle_event(topics.USER, AGENT_RECHECK, self._agent_touched)
        self._delivery.on_resync(self.read_all)

    def _agent_touched(self, announcement: Announcement) -> None:
        employee_id = topics.user_of(announcement.topic)
        assert employee_id is not None
        self.agents_changed([employee_id])

    def _call_delivered(self, announcement: Announcement, listeners: Any) -> None:
        employee_id = topics.user_of(announcement.topic)
        if listeners and employee_id is not None:
            self.agents_changed([employee_id])

    # --- watching --------------------------------------------------------------------------

    async def serve(self, session: WatchingSession, command: QueueWatch) -> QueueWatched:
        """Send this session the changes of these queues from now on: subscribe first, then read."""
        assert session.context is not None
        wallboard.require_watch(session.context, command)
        tz = command.tz or self._tz
        stats.check_zone(tz)
        if session.closed or not command.queues:
            self.remove(session)
            return QueueWatched(queues=[], tz=tz)
        before = self._watchers.get(session)
        named = None if command.queues == "all" else frozenset(command.queues)
        self._watchers[session] = QueueSubscription(named, command.agents, command.calls, tz)
        self._timed.watch_zone(tz)
        self._wake.set()  # the midnight of its zone may be the next change
        try:
            wanted = [topics.QUEUES, *([topics.QUEUE_CALLS] if command.calls else [])]
            await self._delivery.bus.subscribe(wanted)
            shown = await self._snapshots.load(
                SnapshotRequest(None if named is None else tuple(sorted(named)), command.agents, tz)
            )
        except BaseException:
            self._watchers.pop(session, None)
            if before is not None and not session.closed:
                self._watchers[session] = before
                self.check_permission(session)  # the permission may be gone
            self._untidy = True
            raise
        if session.closed:
            self.remove(session)
        self._queues |= self._published.shown(tz, shown.queues)
        self.agents_shown(*shown.agents)
        encoded: Any = shown.encoded
        return QueueWatched(queues=encoded[0], agents=encoded[1], tz=tz)

    def agents_shown(self, *states: AgentState) -> None:
        """Record the agents of a snapshot; those that others were not sent are read and sent."""
        self._people |= self._published.shown_agents(states)
        self._wake.set()

    def remove(self, session: WatchingSession) -> None:
        """End what a session watches."""
        self._unsent.pop(session, None)
        if not self._is_connected(session.user_id):
            self._published.forget_agent(session.user_id)
        if self._watchers.pop(session, None) is not None:
            self._untidy = True
            self._wake.set()

    def check_permission(self, session: WatchingSession) -> None:
        """End what a session watches when it has lost the permission."""
        watching, context = self._watchers.get(session), session.context
        if watching and context and not wallboard.may_watch(context, calls=watching.calls):
            self.remove(session)
            session.send_event(QueueUnwatched())

    def _tidy(self) -> None:
        """Remove what nobody watches any more: hundreds may have gone at once."""
        self._untidy = False
        watching = self._watchers.values()
        if not any(one.calls for one in watching):
            self._delivery.bus.unsubscribe([topics.QUEUE_CALLS])
        self._timed.retain_zones({one.tz for one in watching})
        if not watching:
            self._delivery.bus.unsubscribe([topics.QUEUES])
        whole = {one.tz for one in watching if one.queues is None}
        named = {(one.tz, queue) for one in watching for queue in one.queues or ()}
        agents_watched = any(one.agents for one in watching)
        self._published.retain(
            lambda tz, queue: tz in whole or (tz, queue) in named,
            lambda employee_id: agents_watched or self._is_connected(employee_id),
        )

    # --- changes ------------------------------------------------------------------------------

    def queues_changed(self, announcement: Announcement) -> None:
        """Record which queues and agents have changed somewhere."""
        if not self._watchers:
            return
        changed = orjson.loads(announcement.payload)
        named = set(changed["queues"])
        if any(one.covers(named) for one in self._watchers.values()):
            self._queues |= named
        self._people.update(changed["employees"])
        self._wake.set()

    def agents_changed(self, employee_ids: Iterable[int]) -> None:
        """Read and send the state of those of these employees who are connected here."""
        here = [one for one in employee_ids if self._is_connected(one)]
        if here:
            self._people.update(here)
            self._wake.set()

    def read_all(self) -> None:
        """Read all that is watched: announcements may have been lost."""
        if self._watchers:
            self._everything = True
            self._wake.set()

    def call_changed(self, announcement: Announcement) -> None:
        """Send an event of a call to those who watch its queues, unless it is their own call."""
        watchers = [one for one in self._watchers.items() if one[1].calls]
        if not watchers:
            return
        self._calls.delivered(announcement)
        head, _, event = announcement.payload.partition(b"\n")
        changed = orjson.loads(head)
        queues, people = set(changed["queues"]), set(changed["employees"])
        frame = SharedFrame(event, lane_of(announcement.type))
        for session, watching in watchers:
            if watching.covers(queues) and session.user_id not in people:
                session.deliver(frame)

    # --- sending ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Read and send until cancelled; an outage delays, it loses nothing."""
        loop = asyncio.get_running_loop()
        looked_at, each_s = loop.time(), self._check_s
        while True:
            try:
                async with asyncio.timeout(self._timed.next_in_s(each_s)):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if self._untidy:
                self._tidy()
            late, midnight = self._timed.pop_due(datetime.now(UTC))
            self._queues |= late
            looks = 1 if not self._delivery.bus.healthy else READ_ALL_EVERY
            if midnight or loop.time() - looked_at >= looks * each_s:
                looked_at = loop.time()
                self.read_all()
            if not (self._queues or self._people or self._everything or self._unsent):
                continue
            await asyncio.sleep(FIRST_S)
            began = loop.time()
            try:
                await self._publish_changes()
            except Exception as error:  # noqa: BLE001 - it is read again
                log.warning("queues.read_failed", error=type(error).__name__)
            await asyncio.sleep(max(CONFLATE_S, SHARE * (loop.time() - began)))

    async def _publish_changes(self) -> None:
        queues, self._queues = self._queues, set()
        people, self._people = self._people, set()
        everything, self._everything = self._everything, False
        watched = any(one.agents for one in self._watchers.values())
        if everything:
            people |= {one for one in self._published.people if watched or self._is_connected(one)}
        elif not self._watchers:
            people = {one for one in people if self._is_connected(one)}
        try:
            found, shown = await self._read(queues, people, everything=everything)
        except BaseException:
            self._queues |= queues
            self._people |= people
            self._everything = self._everything or everything
            self._wake.set()
            raise
        self._publish_queues(shown)
        for agent in found:
            if agent.employee_id is not None and (watched or agent.employee_id in people):
                self._publish_agent(agent.employee_id, agent)

    async def _read(
        self, queues: set[str], people: Collection[int], *, everything: bool
    ) -> tuple[list[Agent], dict[str, list[QueueLive]]]:
        """Return agents, and zone → queues: those that changed, and those of these agents."""
        watching = list(self._watchers.values())
        shown: dict[LocalDay, list[QueueLive]] = {}
        async with self._services.connection() as conn:
            if everything and watching:
                queues = queues | await names_of(conn, watching) | self._published.names
            found = await agents.read(conn, people, queues, with_their_queues=bool(watching))
            hanging = {queue for one in found if one.employee_id in people for queue in one.queues}
            wanted = [one for one in queues | hanging if any(w.covers((one,)) for w in watching)]
            days = {one.tz: wallboard.today(one.tz) for one in watching}
            for day in set(days.values()):
                states = await wallboard.read(conn, wanted, day, found)
                shown[day] = [one.queue for one in states]
                self._timed.set_waiting(states)
        return found, {tz: shown[day] for tz, day in days.items()}

    def _publish_queues(self, shown: dict[str, list[QueueLive]]) -> None:
        changes = self._published.changed_queues(shown)
        for session, watching in self._watchers.items():
            for queue, encoded in changes.get(watching.tz, {}).items():
                if watching.covers((queue,)):
                    self._unsent.setdefault(session, {})[queue] = encoded
        self._flush()

    def _flush(self) -> None:
        """Send what has changed; for a slow reader changes go on being conflated."""
        changes, self._unsent = self._unsent, {}
        frames: dict[tuple[bytes, ...], SharedFrame] = {}
        for session, encoded in changes.items():
            if session.full:
                self._unsent[session] = encoded
                self._wake.set()
                continue
            key = tuple(encoded.values())
            if key not in frames:  # most watchers get the same changes
                payload = b'{"type":"queue.changed","queues":[%b]}' % b",".join(key)
                frames[key] = SharedFrame(payload, QUEUE_LANE)
            session.deliver(frames[key])

    def _publish_agent(self, employee_id: int, agent: Agent) -> None:
        """Send an agent's state to the agent, and to the watchers of their queues, old and new."""
        watched = [one for one in self._watchers.items() if one[1].agents]
        here = self._delivery.hub.listeners(topics.user(employee_id))
        changes = self._published.changed_agent(agent) if watched or here else None
        if changes is None:
            return
        frame, queues = SharedFrame(changes[0], AGENT_LANE), changes[1]
        for listener in here:
            listener.deliver(frame)
        for session, watching in watched:
            if session.user_id != employee_id and watching.covers(queues):
                session.deliver(frame)

    def _is_connected(self, employee_id: int) -> bool:
        return bool(self._delivery.hub.listeners(topics.user(employee_id)))
