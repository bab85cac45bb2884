"""Every metric of /metrics: its name, its meaning, and where its value is read.

gateway.app.Gateway ─▶ here ─▶ metrics.py (Prometheus text) and reference.py (docs/operations.md).
On the hot path a metric is a plain integer; formatting costs CPU only during a scrape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.ops.histogram import Histogram

Kind = Literal["gauge", "counter", "histogram"]
Values = float | Histogram | Mapping[tuple[str, ...], float] | Mapping[tuple[str, ...], Histogram]
Read = Callable[[Any], Values]
"""Takes the worker's parts (gateway.app.Gateway); with labels, returns one value for each."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table."""

    name: str
    """As it is served: counters end in _total, durations in _seconds."""
    kind: Kind
    text: str
    read: Read
    labels: tuple[str, ...] = ()


def _gauge(name: str, text: str, read: Read, *labels: str) -> Metric:
    return Metric(f"gateway_{name}", "gauge", text, read, labels)


def _counter(name: str, text: str, read: Read, *labels: str) -> Metric:
    return Metric(f"gateway_{name}_total", "counter", text, read, labels)


def _histogram(name: str, text: str, read: Read, *labels: str) -> Metric:
    return Metric(f"gateway_{name}_seconds", "histogram", text, read, labels)


def _frames_in(gateway: Any) -> float:
    node = gateway.node
    return float(node.metrics.frames_in + sum(session.frames_in for session in node.sessions))


def _closes(gateway: Any) -> Mapping[tuple[str, ...], float]:
    node = gateway.node
    return {(str(code), "server"): count for code, count in node.metrics.closes.items()} | {
        (str(code), "client"): count for code, count in node.metrics.client_closes.items()
    }


def _by_key(values: Mapping[Any, float]) -> Mapping[tuple[str, ...], float]:
    return {(str(key),): value for key, value in values.items()}


def _commands(gateway: Any) -> Mapping[tuple[str, ...], Histogram]:
    latency: dict[str, Histogram] = gateway.node.metrics.latency
    return {(command,): took for command, took in latency.items() if command != "hello"}


def _hellos(gateway: Any) -> Histogram:
    latency: dict[str, Histogram] = gateway.node.metrics.latency
    return latency.get("hello") or Histogram()


METRICS: Final[tuple[Metric, ...]] = (
    # who is here
    _gauge("connections", "WebSockets that are open", lambda g: len(g.node.sessions)),
    _gauge(
        "http_unsent_bytes",
        "bytes of HTTP responses that wait because their clients do not read",
        lambda g: g.node.unsent.total,
    ),
    _gauge(
        "topics",
        "topics to which a connection of this worker is subscribed",
        lambda g: len(g.delivery.hub.topics()),
    ),
    _gauge(
        "streams",
        "conversations whose changes this worker delivers in order",
        lambda g: len(g.delivery.streams),
    ),
    _gauge(
        "presence_watched",
        "people whose presence a client of this worker watches",
        lambda g: len(g.node.presence_watches.watched()),
    ),
    _gauge(
        "deadlines",
        "entries of the timing wheel (pings, token ends): one or two per connection",
        lambda g: g.node.deadlines,
    ),
    _gauge("tasks", "asyncio tasks of this worker", lambda _: len(asyncio.all_tasks())),
    _histogram(
        "loop_lag",
        "delay of a timer that is due every 0.1 s: the event loop was busy for this long",
        lambda g: g.lag.lateness,
    ),
    # in and out
    _counter("connections_opened", "WebSockets accepted", lambda g: g.node.metrics.opened),
    _counter(
        "connections_rejected",
        "connections refused before the upgrade to a WebSocket, by reason",
        lambda g: _by_key(g.node.metrics.rejected),
        "reason",
    ),
    _counter(
        "closes",
        "WebSockets that ended, by close code and by who closed: `server` or `client` (1006: "
        "without a close frame)",
        _closes,
        "code",
        "by",
    ),
    _counter("frames_in", "WebSocket messages received", _frames_in),
    _counter("bytes_in", "bytes received on WebSockets", lambda g: g.node.metrics.bytes_in),
    _counter(
        "deliveries", "events handed to sessions for sending", lambda g: g.delivery.hub.deliveries
    ),
    _counter("writes", "write calls on sockets", lambda g: g.node.cork.writes),
    _counter(
        "frames_out",
        "frames written to sockets; divided by `gateway_writes_total`: frames per write",
        lambda g: g.node.cork.frames,
    ),
    _counter("bytes_out", "bytes written to sockets", lambda g: g.node.cork.bytes_out),
    _gauge(
        "slow_readers",
        "connections whose socket buffer is full, so that frames wait in the gateway",
        lambda g: sum(session.full for session in g.node.sessions),
    ),
    _counter(
        "dropped",
        "frames of slow readers that were dropped or replaced by newer ones, by lane",
        lambda g: _by_key(g.node.dropped_by_lane),
        "lane",
    ),
    _gauge(
        "departures",
        "closed connections that are not yet removed from topics, streams and presence",
        lambda g: len(g.node.disconnect_queue),
    ),
    # hellos and commands
    _histogram("hello", "time from a hello's frame to its welcome, waiting included", _hellos),
    _gauge(
        "hellos_waiting",
        "hellos that wait for their turn; one that would wait too long is answered `overloaded`",
        lambda g: g.node.limits.hellos.waiting,
    ),
    _histogram(
        "command", "time from the start of a command to its reply, by command", _commands, "command"
    ),
    _counter(
        "refusals",
        "errors sent to clients, by error code",
        lambda g: _by_key(g.node.metrics.refusals),
        "code",
    ),
    # what must arrive
    _counter(
        "healed",
        "events read from the database because the bus did not bring them",
        lambda g: g.delivery.streams.healed,
    ),
    _counter(
        "duplicates",
        "events dropped because they had been delivered already",
        lambda g: g.delivery.streams.duplicates,
    ),
    _counter(
        "unread_statements",
        "statements that counted unread messages",
        lambda g: g.node.unread.statements,
    ),
    # Redis and PostgreSQL
    _gauge(
        "bus_healthy",
        "1 while this worker receives what other workers publish",
        lambda g: int(g.bus_healthy),
    ),
    _counter(
        "bus_published",
        "announcements published for other workers",
        lambda g: g.delivery.bus.published,
    ),
    _counter(
        "bus_received",
        "announcements received from other workers",
        lambda g: g.delivery.bus.received,
    ),
    _counter(
        "bus_dropped",
        "announcements that Redis did not accept; the sweep delivers their changes",
        lambda g: g.delivery.bus.dropped,
    ),
    _counter("bus_reconnects", "reconnections of the bus", lambda g: g.delivery.bus.reconnects),
    _gauge(
        "presence_degraded",
        "1 while presence cannot be read and the last known one is shown",
        lambda g: int(g.node.services.presence.degraded),
    ),
    _gauge("database_connections", "open connections to PostgreSQL", lambda g: g.pool.get_size()),
    _gauge(
        "database_idle",
        "open connections to PostgreSQL that are not in use",
        lambda g: g.pool.get_idle_size(),
    ),
    _gauge(
        "database_waiting",
        "commands that wait for a connection to PostgreSQL",
        lambda g: g.services.shedder.waiting,
    ),
    _gauge(
        "pressure",
        "level of load shedding. 0: none; 1: typing and presence are refused; 2: reads, too; "
        "3: writes, too",
        lambda g: g.services.shedder.level,
    ),
    _counter(
        "shed",
        "commands refused by load shedding, by cost: `passing`, `read` or `write`",
        lambda g: _by_key(g.services.shedder.shed),
        "cost",
    ),
    # files
    _counter(
        "file_bytes_in",
        "bytes of uploaded files that this worker stored; uploads to a bucket bypass it",
        lambda g: g.services.files.counts.bytes_in,
    ),
    _counter(
        "file_bytes_out",
        "bytes of files that this worker sent",
        lambda g: g.services.files.counts.bytes_out,
    ),
    _counter(
        "files_removed",
        "files and unfinished uploads removed from the storage, or already missing there",
        lambda g: g.services.files.counts.removed,
    ),
    _counter(
        "files_refused",
        "files refused at declaration, upload, sending or reading, by error code",
        lambda g: _by_key(g.services.files.counts.refused),
        "code",
    ),
    # jobs
    _gauge(
        "jobs_waiting",
        "background jobs that are due and that no worker has, of all workers, by queue; counted up "
        "to 10,000, every 15 s",
        lambda g: _by_key({one.queue: one.waiting for one in g.jobs_upkeep.backlogs}),
        "queue",
    ),
    _gauge(
        "jobs_oldest_seconds",
        "for how long the first of them has been due",
        lambda g: _by_key({one.queue: one.oldest_s for one in g.jobs_upkeep.backlogs}),
        "queue",
    ),
    _histogram(
        "job",
        "time from the claim of a job until its end was stored, by kind and outcome: `done`, "
        "`again`, `failed`, `postponed`, `dead`, `expired`, `lost`, `stopped`",
        lambda g: g.jobs.seconds,
        "kind",
        "outcome",
    ),
    _counter(
        "jobs_dead",
        "background jobs that failed for good on this worker",
        lambda g: _by_key(g.jobs.dead),
        "kind",
    ),
    # events of the CRM
    _gauge(
        "events_waiting",
        "events of the CRM that are due and not relayed, of all nodes; counted up to 100,000, "
        "every 15 s",
        lambda g: g.relay.backlog.waiting,
    ),
    _gauge(
        "events_oldest_seconds",
        "for how long the first of them has been due",
        lambda g: g.relay.backlog.oldest_s,
    ),
    _counter("events_relayed", "events that this worker relayed", lambda g: g.relay.relayed),
    _counter(
        "events_delivered",
        "events of the CRM handed to sessions for sending",
        lambda g: g.node.event_stream.delivered,
    ),
    _counter(
        "events_healed",
        "events of the CRM read from the database because the bus did not bring them",
        lambda g: g.node.event_stream.healed,
    ),
    _gauge(
        "topics_watched",
        "topics of the CRM that a client of this worker watches",
        lambda g: len(g.node.topic_watches),
    ),
    # from the PBX
    _gauge(
        "pbx_connected",
        "1 while this worker is connected to this PBX of `GATEWAY_PBXS`",
        lambda g: _by_key(g.pipeline.metrics.connected),
        "pbx",
    ),
    _counter(
        "ingest_received",
        "PBX events received, from all sources",
        lambda g: g.pipeline.metrics.received,
    ),
    _counter("ingest_accepted", "PBX events stored", lambda g: g.pipeline.metrics.accepted),
    _counter(
        "ingest_duplicates",
        "PBX events that had been stored before",
        lambda g: g.pipeline.metrics.duplicates,
    ),
    _counter(
        "ingest_rejected",
        "PBX events that are invalid or cannot be stored; see `realtime.ingest_rejects`",
        lambda g: g.pipeline.metrics.rejected,
    ),
    _counter(
        "ingest_overused",
        "PBX events of calls with too many of them, or over more than 2 days: `call.key_reused`",
        lambda g: g.pipeline.metrics.overused,
    ),
    _counter(
        "ingest_refused",
        "submissions of PBX events refused because too many were waiting",
        lambda g: g.pipeline.metrics.refused,
    ),
    _counter(
        "ingest_batches",
        "batches of PBX events stored, one transaction each",
        lambda g: g.pipeline.metrics.batches,
    ),
    _counter(
        "ingest_batch_seconds",
        "seconds spent storing batches of PBX events",
        lambda g: g.pipeline.metrics.batch_us / 1e6,
    ),
)
