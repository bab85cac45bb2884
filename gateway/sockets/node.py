"""This worker's half of everything sessions share: who is here, and what they use.

app ─▶ Node ─▶ sessions. Nodes know each other only through the bus and the presence store.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import structlog
from redis.asyncio import Redis

from gateway import commands, topics
from gateway.auth import Tokens
from gateway.bus import Announcement, Bus, announce
from gateway.chat import sender_state
from gateway.chat.queries import changes, compare
from gateway.chat.queries import receipts as receipt_queries
from gateway.context import Context, Services
from gateway.delivery import lanes
from gateway.delivery.hub import Hub
from gateway.delivery.shared_frame import SharedFrame
from gateway.delivery.streams import PAGE, Streams
from gateway.hello.reads import HelloReads
from gateway.ops.histogram import Histogram
from gateway.ops.tasks import Tasks
from gateway.people import presences
from gateway.protocol import (
    PresenceWatch,
    PresenceWatched,
    Unread,
)
from gateway.settings import Settings
from gateway.sockets.admission.admission import Door
from gateway.sockets.admission.devices import ARRIVED
from gateway.sockets.admission.disconnect_queue import DisconnectQueue
from gateway.sockets.admission.drain import Drain
from gateway.sockets.outgoing.sender import Cork
from gateway.sockets.reconcile import Reconciler
from gateway.sockets.session.timing_wheel import TimingWheel
from gateway.sockets.subscriptions.after_delivery import REMOVED, AfterDelivery
from gateway.sockets.watch.presence import PresenceWatches as Watch
from gateway.sockets.watch.queue_watches import QueueWatches
from gateway.sockets.watch.unread import UnreadPush
from gateway.telephony.calls.announce import AGENT_RECHECK

if TYPE_CHECKING:
    from gateway.sockets.session.session import Session

log = structlog.get_logger(__name__)


class Node(Door):
    """Sessions, topics and deadlines of one worker process."""

    def __init__(
        self, settings: Settings, *, services: Services, tokens: Tokens, redis: Redis | None = None
    ) -> None:
        super().__init__(settings, tokens, redis)
        self.services = services
        self.bus: Bus
        self.cork = Cork(deflate_from=settings.deflate_min_bytes)
        self.disconnect_queue = DisconnectQueue()
        self.wheel = TimingWheel()
        self.tasks = Tasks()
        self.sessions: set[Session] = set()
        self.drain = Drain(self.sessions, within_s=settings.drain_s)
        self.hub = Hub(opened=self._topic_opened, closed=self._topic_closed)
        self.streams = Streams(
            deliver=self.hub.deliver,
            changes_after=self._changes_after,
            total=self._total,
            moved=self._moved,
        )
        self.hello_reads = HelloReads(services, max_topics=settings.max_topics, spawn=self.spawn)
        self.presence_watches = Watch(
            unheard=self._unheard, learned=self.hello_reads.update_presences
        )
        self.unread = UnreadPush(counts_of=self._counts_of, push=self._push_to_user)
        self.reconciler = Reconciler(self)
        self.after_delivery = AfterDelivery(self)
        self.after_delivery.register()
        self.queue_watches = QueueWatches(self)
        self.queue_watches.register()
        self.opened = 0
        self.bytes_in = 0
        self.frames_in = 0
        self.closes: Counter[int] = Counter()
        self.client_closes: Counter[int] = Counter()
        self.refusals: Counter[str] = Counter()
        self.latency: dict[str, Histogram] = {}

    async def start(self, stack: AsyncExitStack) -> None:
        """Begin to tick, and, where there are clients, to sweep and push; stack ends it."""
        serves = self.settings.takes("sockets")
        if self.cluster_limits is not None and serves:
            stack.push_async_callback(self.cluster_limits.release)
        await stack.enter_async_context(self.tasks)
        self.wheel.start()
        stack.callback(self.wheel.stop)
        if not serves:
            return
        self.spawn(self.streams.run(self.settings.sweep_s), name="streams")
        self.spawn(self.unread.run(), name="unread")
        self.spawn(self.reconciler.run(), name="upkeep")
        self.spawn(self.devices.run(), name="devices")
        self.spawn(self.queue_watches.run(), name="queues")
        if self.cluster_limits is not None:
            self.spawn(self.cluster_limits.run(), name="ledger")

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        self.tasks.spawn(work, name=name)

    def time(self) -> float:
        """Return the wall clock, seconds since 1970."""
        return time.time()

    # --- publish and deliver ---------------------------------------------------------------

    def publish(self, announcements: Collection[Announcement]) -> None:
        """Deliver here at once, and ring at the other nodes."""
        for announcement in announcements:
            self.deliver(announcement)
        self.bus.publish(announcements)

    def deliver(self, announcement: Announcement) -> None:
        """Take an event, from the bus or from here, to whoever hears it on this node."""
        topic = announcement.topic
        conversation_id = topics.conversation_of(topic) if announcement.change else None
        if announcement.type == ARRIVED:
            self.devices.session_announced(announcement)
        elif topics.is_presence(topic):
            self.presence_watches.deliver(announcement)
        elif topic == topics.QUEUES:
            self.queue_watches.queues_changed(announcement)
        elif topic == topics.QUEUE_CALLS:
            self.queue_watches.call_changed(announcement)
        elif conversation_id is not None:
            self.streams.accept(conversation_id, announcement)
        elif announcement.type == REMOVED and (user_id := topics.user_of(topic)) is not None:
            self.after_delivery.participant_removed(announcement, user_id)
        elif announcement.type == AGENT_RECHECK and (user_id := topics.user_of(topic)) is not None:
            self.queue_watches.agents_changed([user_id])
        else:
            self.hub.deliver(announcement)

    def resynced(self) -> None:
        """Take note that the bus may have lost something."""
        self.streams.check_all()
        self.reconciler.check_all()
        self.devices.announce_all()
        self.queue_watches.read_all()
        self.limits.connections.report_again()

    def _topic_opened(self, topic: str) -> None:
        if (conversation_id := topics.conversation_of(topic)) is not None:
            self.streams.open(conversation_id)

    def _topic_closed(self, topic: str) -> None:
        if (conversation_id := topics.conversation_of(topic)) is not None:
            self.streams.close(conversation_id)
        self.bus.unsubscribe([topic])

    def _unheard(self, topic: str) -> None:
        self.bus.unsubscribe([topic])

    # --- what streams and counts read ------------------------------------------------------

    async def _changes_after(self, asked: Sequence[tuple[int, int]]) -> list[Announcement]:
        async with self.services.connection() as conn:
            found = await changes.after(conn, asked, PAGE)
            unannounced = await sender_state.unannounced(conn, found, self._is_connected)
        for announcement in unannounced:
            self.hub.deliver(announcement)
        return [
            announce(topics.conversation(one.conversation_id), one.event, change=one.change)
            for one in found
        ]

    def _is_connected(self, employee_id: int) -> bool:
        return bool(self.hub.listeners(topics.user(employee_id)))

    async def _total(self, conversation_ids: str) -> int:
        async with self.services.connection() as conn:
            return await compare.total(conn, conversation_ids)

    async def _moved(self, positions: Sequence[tuple[int, int]]) -> dict[int, int]:
        async with self.services.connection() as conn:
            return await compare.moved(conn, positions)

    async def _counts_of(self, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, Unread]]:
        async with self.services.connection() as conn:
            return await receipt_queries.unread_of(conn, pairs)

    def _push_to_user(self, employee_id: int, payload: bytes) -> None:
        frame = SharedFrame(payload)
        topic = topics.user(employee_id)
        for listener in self.hub.listeners(topic):
            listener.hear(topic, 0, frame, lanes.RECEIPT, 0)

    # --- sessions --------------------------------------------------------------------------

    def connected(self, session: Session, address: str) -> None:
        self._addresses[address] += 1
        self.sessions.add(session)
        self.opened += 1
        session.arm(session.opened_at + self.settings.hello_s)

    async def run(self, ctx: Context, command: Any) -> Any:
        return await commands.run(ctx, command)

    async def watch(self, session: Session, command: PresenceWatch) -> PresenceWatched:
        """Have session hear of these people from now on: subscribe first, then look."""
        assert session.context is not None
        if session.closed:  # it went between its frame and its turn
            return PresenceWatched(presences=[])
        wanted = self.presence_watches.watch(session, command.employee_ids)
        await self.bus.subscribe(wanted)
        return await presences.look(session.context, command)

    def session_ended(self, session: Session, reason: str) -> None:
        """Take a session that has ended out of everything."""
        self.sessions.discard(session)
        self.no_longer_counted(session)
        self.frames_in += session.frames_in
        user_id = session.user_id
        self.hub.leave_all(session)
        self.presence_watches.remove(session)
        self.queue_watches.remove(session)
        now = asyncio.get_running_loop().time()
        log.info(
            "session.ended",
            session=session.id,
            user=user_id,
            seconds=round(now - session.opened_at, 1),
            frames_in=session.frames_in,
            why=reason,
        )
        if user_id:
            if not self.hub.listeners(topics.user(user_id)):
                self.unread.remove(user_id)
            self.spawn(self.services.presence.leave(user_id, session.id), name="presence.leave")
        if not self.sessions:
            self.drain.ended()

    # --- figures ---------------------------------------------------------------------------

    def count_command(self, command: str, seconds: float) -> None:
        """Count a command that has run, whatever came of it."""
        histogram = self.latency.get(command)
        if histogram is None:
            histogram = self.latency[command] = Histogram()
        histogram.observe(seconds)

    def count_refusal(self, code: str) -> None:
        """Count an error that a client was told."""
        self.refusals[code] += 1

    def count_close(self, code: int) -> None:
        """Count a close of ours."""
        self.closes[code] += 1

    def count_client_close(self, code: int) -> None:
        """Count a close that the client began; 1006 when it vanished without one."""
        self.client_closes[code] += 1

    @property
    def deadlines(self) -> int:
        """How many entries the timing wheel has."""
        return len(self.wheel)

    @property
    def dropped_by_lane(self) -> dict[str, int]:
        """How many frames slow readers did not get, because newer ones replaced them."""
        return dict(zip(lanes.NAMES, self.cork.dropped, strict=True))
