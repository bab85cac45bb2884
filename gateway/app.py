"""What is built, and in what order: pools, bus, presence, ingest, sockets; closed in reverse.

The only place that constructs them. `create_app(settings)` is the ASGI app; `serve` runs it on
given sockets with our own protocol classes.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from gateway import job_kinds, rest, topics
from gateway.auth import (
    IdentityCache,
    KeysUnusable,
    ServiceAccounts,
    Tokens,
    accepted_secrets,
    open_tokens,
)
from gateway.auth.oidc import SignIn, open_sign_in
from gateway.bus import RedisBus, RedisConfig
from gateway.chat.message_store import BatchedMessageStore
from gateway.connections import AllConnections
from gateway.context import Services
from gateway.crm import ContractWatch, watched_views
from gateway.db import Pool, open_pool, pending
from gateway.delivery.delivery import Delivery
from gateway.events.publishing import EventPublishing
from gateway.events.relay import Relay
from gateway.files import Files, Limits, Storage, StorageUnusable, open_storage
from gateway.jobs import Doorbell, Upkeep, Worker
from gateway.limits import FairPlaces, LoadShedder
from gateway.limits.load_shedding import LEVEL_WAIT_S
from gateway.ops import metrics
from gateway.ops.histogram import Histogram
from gateway.ops.loop_lag import LoopLag
from gateway.ops.tasks import Tasks
from gateway.people import presences
from gateway.rest.anonymous import HEALTH
from gateway.settings import BACKLOG, Settings
from gateway.sockets.listener.http import http_protocol_class
from gateway.sockets.listener.websocket import protocol_class
from gateway.sockets.node import Node
from gateway.telephony.agents import on_call
from gateway.telephony.callbacks import missed
from gateway.telephony.calls.announce import agents_changed, calls_changed
from gateway.telephony.pbx import connections
from gateway.telephony.stats.stats_cache import RedisStatsCache
from ingest import Pipeline
from presence import PresenceSettings, RedisPresence

log = structlog.get_logger(__name__)

PULSE_S = 0.5
READING = 6
"""Tenths of the database connections that reads may use; what is sent has the others."""


class SettingMissing(Exception):
    """A setting without which nothing can run is missing."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """One worker's parts."""

    settings: Settings
    pool: Pool
    delivery: Delivery
    node: Node
    presence: RedisPresence
    pipeline: Pipeline
    jobs: Worker
    jobs_upkeep: Upkeep
    relay: Relay
    publishing: EventPublishing
    lag: LoopLag
    contract: ContractWatch
    sign_in: SignIn | None
    """People sign in on the page with a provider."""

    @property
    def services(self) -> Services:
        return self.node.services

    @property
    def tokens(self) -> Tokens:
        return self.node.tokens

    @property
    def identities(self) -> IdentityCache:
        return self.node.identities

    @property
    def service_accounts(self) -> ServiceAccounts:
        return self.node.service_accounts

    @property
    def connections(self) -> AllConnections:
        return self.node.connections

    @property
    def bus_healthy(self) -> bool:
        """False while announcements of other workers may not arrive here."""
        return self.delivery.bus.healthy

    @property
    def draining(self) -> bool:
        """Whether this worker is closing its sessions to stop."""
        return self.node.drain.begun

    async def render_metrics(self) -> bytes:
        """Return this worker's metrics in Prometheus' text format."""
        return await metrics.render(self)

    async def pending_migrations(self) -> list[str]:
        """Return migrations that this version has and the database has not."""
        async with self.pool.acquire() as conn:
            return await pending(conn)


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Open everything in order; leaving closes it in reverse."""
    if not (settings.database_url and settings.redis_url and settings.token_secret):
        raise SettingMissing(
            "Set GATEWAY_DATABASE_URL, GATEWAY_REDIS_URL and GATEWAY_TOKEN_SECRET, "
            "or run `gateway dev`, which brings its own."
        )
    async with AsyncExitStack() as stack:
        tokens = await _tokens(stack, settings)
        crm_views = watched_views()
        pool = await open_pool(
            settings.database_url,
            application_name=f"gateway {settings.node}",
            max_size=settings.database_pool,
            crm_views=crm_views,
        )
        stack.push_async_callback(pool.close)
        contract = ContractWatch(pool, crm_views)
        await contract.look()

        delivery, tasks = Delivery(), Tasks()
        redis_config = RedisConfig.of(settings)
        redis = redis_config.key_client()
        stack.push_async_callback(redis.aclose)
        presence = RedisPresence(
            redis,
            node=settings.node,
            on_change=partial(presences.publish_changed, delivery.publish),
            settings=PresenceSettings(
                lease_ttl_s=settings.presence_lease_s,
                renew_s=settings.presence_lease_s / 3,
                grace_s=settings.presence_grace_s,
                retry_max_s=min(2.0, settings.presence_lease_s / 6),
                show_last_seen=settings.presence_last_seen,
            ),
        )

        keeps = settings.takes("sockets", "background")
        files = Files(await _storage(stack, settings) if keeps else None, Limits.of(settings))
        lag = LoopLag(Histogram())
        lag.start()
        stack.callback(lag.stop)
        store = BatchedMessageStore(tasks.spawn, lag.lived_s)
        shedder, places = _queues(pool, settings.database_pool, lag.lived_s, store.oldest_wait_s)
        services = Services(
            pool, delivery.publish, presence, store, settings.database_timeout_s,
            files=files, shedder=shedder, stats_cache=RedisStatsCache(redis),
            regions=connections.regions(settings), picture_origins=settings.picture_origins,
            doorbell=Doorbell(delivery.publish),
            reading_places=places,
            crm_views=crm_views,
        )  # fmt: skip
        node = Node(
            settings,
            services=services,
            tokens=tokens,
            delivery=delivery,
            tasks=tasks,
            redis=redis,
        )
        bus = RedisBus(
            redis_config, node=settings.node, deliver=delivery.deliver, resynced=delivery.resynced
        )
        delivery.connect(await stack.enter_async_context(bus))
        if settings.takes("sockets", "ingest"):  # a call makes somebody busy on any worker
            await presence.open()
            stack.push_async_callback(presence.close)

        pipeline = Pipeline(
            pool,
            announce=partial(calls_changed, services),
            announce_agents=partial(agents_changed, services),
            settings=connections.ingest_settings(settings),
        )
        if settings.takes("ingest"):
            await stack.enter_async_context(pipeline)
        await node.start(stack)
        node.spawn(contract.run(every_s=12 * settings.upkeep_s), name="contract")
        if settings.takes("ingest"):
            await stack.enter_async_context(connections.build_connectors(settings, pool, pipeline))
            node.spawn(on_call.run(services, every_s=6 * settings.upkeep_s), name="on_call")
            node.spawn(missed.follow(services), name="callbacks.news")
        jobs = _job_worker(services, settings)
        jobs_upkeep = Upkeep(services.connection, jobs, known=job_kinds.NAMES)
        relay = Relay(services.connection, delivery.publish, poll_s=settings.event_poll_s)
        if settings.takes("background"):
            await _open_background(stack, node, jobs=jobs, upkeep=jobs_upkeep, relay=relay)
        log.info("gateway.ready", node=settings.node, roles=",".join(settings.roles))
        yield Gateway(
            settings, pool, delivery, node, presence, pipeline, jobs, jobs_upkeep, relay,
            EventPublishing(services), lag,
            contract,
            await open_sign_in(settings, stack, tokens=tokens, public_url=settings.public_url),
        )  # fmt: skip
        await node.drain.finish()


async def _open_background(
    stack: AsyncExitStack, node: Node, *, jobs: Worker, upkeep: Upkeep, relay: Relay
) -> None:
    """Start what the role `background` does."""
    services, delivery = node.services, node.delivery
    delivery.handle_topic(topics.JOBS, services.doorbell.heard)
    delivery.handle_topic(topics.OUTBOX, relay.heard)
    await delivery.bus.subscribe([topics.JOBS, topics.OUTBOX])
    node.spawn(missed.run(services, every_s=node.settings.sweep_s), name="callbacks")
    node.spawn(upkeep.run(), name="jobs.upkeep")
    node.spawn(relay.run(), name="events.relay")
    node.spawn(relay.watch(), name="events.backlog")
    await stack.enter_async_context(jobs)


def _job_worker(services: Services, settings: Settings) -> Worker:
    return Worker(
        services.connection,
        services.doorbell,
        kinds=job_kinds.kinds(services, settings),
        queues=job_kinds.QUEUES,
        planned=job_kinds.schedules(settings),
        slots=settings.jobs_at_once,
    )


def create_app(settings: Settings) -> FastAPI:
    """Return the ASGI app; its lifespan opens and closes the gateway."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_gateway(settings) as gateway:
            app.state.gateway = gateway
            yield

    return rest.build(settings, lifespan)


def make_server(settings: Settings) -> tuple[FastAPI, uvicorn.Server]:
    """Return the app, and a server for it with our own protocol classes on the one port."""
    app = create_app(settings)

    def node() -> Node:
        found: Node = app.state.gateway.node
        return found

    config = uvicorn.Config(
        app,
        http=http_protocol_class(node, urgent={rest.telephony.EVENTS, *HEALTH}),  # type: ignore[arg-type]
        ws=protocol_class(node) if settings.takes("sockets") else "none",  # type: ignore[arg-type]
        loop="uvloop",
        lifespan="on",
        backlog=BACKLOG,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, int(settings.drain_s)),
    )
    return app, uvicorn.Server(config)


class Beat(Protocol):
    """Called every PULSE_S: the event loop is alive; `ready` once it serves."""

    def __call__(self, *, ready: bool) -> None: ...


async def serve(
    settings: Settings,
    sockets: list[socket.socket],
    *,
    own_ports: Collection[int],
    beat: Beat | None = None,
) -> None:
    """Serve on these listening sockets until SIGTERM or SIGINT.

    Only on its `own_ports`, which no client is meant to reach, does a worker show its metrics.
    """
    app, server = make_server(settings)
    app.state.own_ports = own_ports
    await rest.warm_up(app)
    gc.freeze()  # what was imported and made until now stays; to collect it took 30 ms
    for listener in sockets:  # what they accept inherits it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
    pulse = asyncio.create_task(_pulse(server, beat), name="pulse") if beat else None
    await server.serve(sockets)
    if pulse is not None:
        pulse.cancel()


async def _pulse(server: uvicorn.Server, beat: Beat) -> None:
    while True:
        beat(ready=server.started)
        await asyncio.sleep(PULSE_S)


async def _tokens(stack: AsyncExitStack, settings: Settings) -> Tokens:
    """Return what verifies tokens; SettingMissing when the file of keys cannot be used."""
    try:
        return await open_tokens(settings, stack)
    except KeysUnusable as error:
        raise SettingMissing(f"GATEWAY_TOKEN_KEYS_FILE: {error}") from error


async def _storage(stack: AsyncExitStack, settings: Settings) -> Storage | None:
    """Open the place for files; SettingMissing when it cannot be used."""
    assert settings.token_secret is not None
    try:
        return await stack.enter_async_context(
            open_storage(
                directory=settings.files_dir,
                secret=settings.token_secret.get_secret_value(),
                accepted_secrets=accepted_secrets(settings),
                public_url=settings.public_url,
                bucket=settings.s3_bucket,
                endpoint=settings.s3_endpoint,
                region=settings.s3_region,
                prefix=settings.s3_prefix,
                path_style=settings.s3_path_style,
                access_key=_secret_of(settings.s3_access_key),
                secret_key=_secret_of(settings.s3_secret_key),
            )
        )
    except StorageUnusable as error:
        raise SettingMissing(str(error)) from error


def _queues(
    pool: Pool, size: int, now: Callable[[], float], of_messages: Callable[[], float]
) -> tuple[LoadShedder, FairPlaces]:
    """Return what decides who waits for the database, and the places for those who read."""
    shedder = LoadShedder(
        size, full=lambda: pool.get_size() >= size and not pool.get_idle_size(), now=now
    )
    places = FairPlaces(max(1, size * READING // 10), clock=now)
    # Whatever reads wait for, what is sent has connections of its own: level 2 refuses reads.
    shedder.add_sources(of_messages, lambda: min(places.longest_wait_s(), LEVEL_WAIT_S[1]))
    return shedder, places


def _secret_of(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
