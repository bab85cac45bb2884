"""The socket host of one worker: its sessions, and the parts that they share, put together.

app ─▶ Node ─▶ parts. Nodes know each other only through the bus and the presence store.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial

import structlog
from redis.asyncio import Redis

from gateway import topics
from gateway.auth import IdentityCache, ServiceAccounts, Tokens
from gateway.batch_loader import BatchLoader
from gateway.chat.stream_reads import StreamReader
from gateway.context import Services
from gateway.delivery import lanes
from gateway.delivery.delivery import Delivery
from gateway.events.readers import TopicReaders
from gateway.hello.reads import HelloReads
from gateway.hello.welcome import NodeInfo
from gateway.limits import HeldBytes
from gateway.ops.tasks import Tasks
from gateway.people import presences, words
from gateway.settings import Settings
from gateway.sockets.admission.admission import Admission
from gateway.sockets.admission.connections import Connections
from gateway.sockets.admission.devices import Devices
from gateway.sockets.admission.disconnect_queue import DisconnectQueue
from gateway.sockets.admission.drain import Drain
from gateway.sockets.admission.standing_checks import StandingChecks
from gateway.sockets.metrics import SocketMetrics
from gateway.sockets.outgoing.sender import Cork
from gateway.sockets.reconcile import Reconciler
from gateway.sockets.session import session_commands
from gateway.sockets.session.command_queue import QueueLimits
from gateway.sockets.session.deadlines import Timeouts
from gateway.sockets.session.limits import SocketLimits
from gateway.sockets.session.session import NodeParts, Session
from gateway.sockets.session.timing_wheel import TimingWheel
from gateway.sockets.subscriptions.after_delivery import AfterDelivery
from gateway.sockets.subscriptions.joining import Joining
from gateway.sockets.subscriptions.membership_news import MembershipNews
from gateway.sockets.subscriptions.memberships import Memberships
from gateway.sockets.watch.calls import CallReconciler
from gateway.sockets.watch.event_stream import EventStream
from gateway.sockets.watch.presence import PresenceWatches
from gateway.sockets.watch.queue_watches import QueueWatches
from gateway.sockets.watch.topic_watches import TopicWatches
from gateway.sockets.watch.unread import UnreadPush

log = structlog.get_logger(__name__)

UNSENT = "too many unsent bytes"


class Node:
    """Everything that the sockets of one worker process need."""

    def __init__(
        self,
        settings: Settings,
        *,
        services: Services,
        tokens: Tokens,
        delivery: Delivery,
        tasks: Tasks,
        redis: Redis | None = None,
    ) -> None:
        session_commands.check_served()
        self.settings = settings
        self.services = services
        self.tokens = tokens
        self.delivery = delivery
        self.tasks = tasks
        self.spawn = spawn = tasks.spawn
        self.sessions: set[Session] = set()
        self.metrics = SocketMetrics()
        self.limits = SocketLimits(settings)
        self.cork = Cork(deflate_from=settings.deflate_min_bytes)
        delivery.hub.send_to_room = self.cork.send_to_room
        self.disconnect_queue = DisconnectQueue()
        self.wheel = TimingWheel()
        self.unsent = HeldBytes(
            per_owner=settings.unsent_bytes, in_all=settings.unsent_total_bytes, why=UNSENT
        )
        self.identities = IdentityCache(services.connection)
        self.service_accounts = ServiceAccounts(services.connection)
        self.drain = Drain(self.sessions, within_s=settings.drain_s)
        self.hello_reads = HelloReads(services, max_topics=settings.max_topics, spawn=spawn)
        self._build_watches()
        self._build_subscriptions()
        self._build_admission()
        self.cluster_limits = (
            self.limits.shared(redis, settings.node, self.admission.close_newest) if redis else None
        )
        self.parts = NodeParts(
            services=services,
            tokens=tokens,
            limits=self.limits,
            queue_limits=QueueLimits(
                settings.max_in_flight, settings.max_pending, spawn, services.turns
            ),
            timeouts=Timeouts(
                self.wheel, settings.hello_s, settings.ping_s, settings.pong_s, time.time
            ),
            metrics=self.metrics,
            presence_watches=self.presence_watches,
            queue_watches=self.queue_watches,
            topic_watches=self.topic_watches,
            max_batch=settings.max_batch,
            hello=self.admission.hello,
            unchecked_token=self.standing_checks.check_all_revocations,
            ended=self.session_ended,
        )

    def _build_watches(self) -> None:
        settings, services, delivery = self.settings, self.services, self.delivery
        self.unread = UnreadPush(services, delivery.hub)
        self.presence_watches = PresenceWatches(
            delivery,
            read=BatchLoader(
                partial(presences.fetch_together, services.presence),
                spawn=self.spawn,
                name="presence.snapshots",
            ).load,
            on_presences=self.hello_reads.update_presences,
        )
        self.call_reconciler = CallReconciler(services, delivery, self.sessions)
        self.call_reconciler.register()
        self.queue_watches = QueueWatches(
            services,
            delivery,
            self.call_reconciler,
            tz=settings.wallboard_tz,
            check_s=settings.upkeep_s,
            spawn=self.spawn,
        )
        self.queue_watches.register()
        self.topic_watches = TopicWatches(TopicReaders(services, settings.event_topics))
        self.event_stream = EventStream(services, delivery, self.topic_watches)
        self.event_stream.register()

    def _build_subscriptions(self) -> None:
        settings, services, delivery = self.settings, self.services, self.delivery
        self.memberships = Memberships(
            services, delivery, self.unread, max_topics=settings.max_topics
        )
        self.joining = Joining(
            services,
            delivery,
            self.hello_reads,
            memberships=self.memberships,
            unread=self.unread,
            agent_shown=self.queue_watches.agents_shown,
            node=NodeInfo(settings.node, settings.ping_s, services.files),
        )
        after = AfterDelivery(
            services,
            delivery,
            unread=self.unread,
            memberships=self.memberships,
            spawn=self.spawn,
        )
        after.register()
        self.membership_news = MembershipNews(services, delivery, after)

    def _build_admission(self) -> None:
        settings, services, delivery = self.settings, self.services, self.delivery
        self.reconciler = Reconciler(
            services,
            delivery,
            self.sessions,
            memberships=self.memberships,
            presence_watches=self.presence_watches,
            unread=self.unread,
            topic_watches=self.topic_watches,
            calls=self.call_reconciler,
            metrics=self.metrics,
            spawn=self.spawn,
            max_topics=settings.max_topics,
            every_s=settings.upkeep_s,
        )
        self.standing_checks = StandingChecks(
            services,
            self.sessions,
            identities=self.identities,
            service_accounts=self.service_accounts,
            compare=self.reconciler.compare_rights,
            add_memberships=self.membership_news.add,
            every_s=settings.standing_s,
        )
        delivery.handle_topic(topics.NEWS, lambda _announcement: self.standing_checks.ring())
        delivery.on_resync(self.reconciler.check_all)
        delivery.on_resync(self.limits.connections.report_again)
        self.devices = Devices(
            delivery,
            self.sessions,
            replaced_kinds=settings.replaced_kinds,
            wall_clock=time.time,
        )
        self.devices.register()
        self.connections = Connections(
            delivery,
            services.presence,
            node=settings.node,
            shows_addresses=settings.connection_addresses,
        )
        self.connections.register()
        self.admission = Admission(
            settings,
            self.tokens,
            limits=self.limits,
            devices=self.devices,
            joining=self.joining,
            drain=self.drain,
            metrics=self.metrics,
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the timing wheel and, where there are clients, the loops; the stack ends them."""
        settings = self.settings
        serves = settings.takes("sockets")
        if self.cluster_limits is not None and serves:
            stack.push_async_callback(self.cluster_limits.release)
        await stack.enter_async_context(self.tasks)
        self.wheel.start()
        stack.callback(self.wheel.stop)
        self.spawn(self.standing_checks.run(), name="standing")  # HTTP is served by every role
        self.spawn(self.membership_news.run(), name="memberships")
        await self.delivery.bus.subscribe([topics.NEWS])
        if not serves:
            return
        await self.event_stream.start()
        reads = StreamReader(self.services, self.delivery.hub)
        self.spawn(self.delivery.streams.run(reads, settings.sweep_s), name="streams")
        self.spawn(self.unread.run(), name="unread")
        self.spawn(self.reconciler.run(), name="upkeep")
        self.spawn(self.devices.run(), name="devices")
        self.spawn(self.queue_watches.run(), name="queues")
        self.spawn(self.event_stream.run(settings.sweep_s), name="events")
        self.spawn(words.follow(self.services), name="employee_words")
        if self.cluster_limits is not None:
            self.spawn(self.cluster_limits.run(), name="cluster_limits")

    # --- sessions --------------------------------------------------------------------------

    def session_started(self, session: Session, address: str, user_agent: str | None) -> None:
        """Count a new session, and expect its hello."""
        self.admission.connected(address)
        self.connections.opened(session, address, user_agent)
        self.sessions.add(session)
        self.metrics.opened += 1
        session.expect_hello(self.settings.hello_s)

    def session_ended(self, session: Session, reason: str) -> None:
        """Remove a session that has ended from all tables, topics and watches."""
        self.sessions.discard(session)
        self.admission.no_longer_counted(session)
        self.connections.closed(session)
        self.metrics.frames_in += session.frames_in
        user_id, hub = session.user_id, self.delivery.hub
        hub.leave_all(session)
        self.presence_watches.remove(session)
        self.queue_watches.remove(session)
        self.topic_watches.remove(session)
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
            if not hub.listeners(topics.user(user_id)):
                self.unread.remove(user_id)
            self.spawn(self.services.presence.leave(user_id, session.id), name="presence.leave")
        if not self.sessions:
            self.drain.ended()

    # --- metrics ---------------------------------------------------------------------------

    @property
    def deadlines(self) -> int:
        """How many entries the timing wheel has."""
        return len(self.wheel)

    @property
    def dropped_by_lane(self) -> dict[str, int]:
        """Frames that slow readers did not get, because newer ones replaced them."""
        return dict(zip(lanes.NAMES, self.cork.dropped, strict=True))
