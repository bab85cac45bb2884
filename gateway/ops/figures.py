"""Every figure of /metrics: its name, what it says, and where it is read.

docs/operations.md has the table that is made of this one (gateway/ops/reference.py). On the hot
path all of them are plain integers; what they cost is paid when somebody looks.
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
class Figure:
    """One row of the table."""

    name: str
    """As it is served: counters end in _total, and what has a unit names it."""
    kind: Kind
    text: str
    read: Read
    labels: tuple[str, ...] = ()


def _gauge(name: str, text: str, read: Read, *labels: str) -> Figure:
    return Figure(f"gateway_{name}", "gauge", text, read, labels)


def _counter(name: str, text: str, read: Read, *labels: str) -> Figure:
    return Figure(f"gateway_{name}_total", "counter", text, read, labels)


def _histogram(name: str, text: str, read: Read, *labels: str) -> Figure:
    return Figure(f"gateway_{name}_seconds", "histogram", text, read, labels)


def _frames_in(gateway: Any) -> float:
    node = gateway.node
    return float(node.frames_in + sum(session.frames_in for session in node.sessions))


def _closes(gateway: Any) -> Mapping[tuple[str, ...], float]:
    node = gateway.node
    return {(str(code), "server"): count for code, count in node.closes.items()} | {
        (str(code), "client"): count for code, count in node.client_closes.items()
    }


def _by_key(values: Mapping[Any, float]) -> Mapping[tuple[str, ...], float]:
    return {(str(key),): value for key, value in values.items()}


def _commands(gateway: Any) -> Mapping[tuple[str, ...], Histogram]:
    latency: dict[str, Histogram] = gateway.node.latency
    return {(command,): took for command, took in latency.items() if command != "hello"}


def _hellos(gateway: Any) -> Histogram:
    latency: dict[str, Histogram] = gateway.node.latency
    return latency.get("hello") or Histogram()


FIGURES: Final[tuple[Figure, ...]] = (
    # who is here
    _gauge("connections", "open WebSockets", lambda g: len(g.node.sessions)),
    _gauge("topics", "topics heard by somebody here", lambda g: len(g.node.hub.topics())),
    _gauge("streams", "conversations heard by somebody here", lambda g: len(g.node.streams)),
    _gauge(
        "presence_watched",
        "people whose presence is watched here",
        lambda g: len(g.node.watches.watched()),
    ),
    _gauge(
        "deadlines",
        "entries of the timing wheel: each connection has one or two",
        lambda g: g.node.deadlines,
    ),
    _gauge("tasks", "asyncio tasks", lambda _: len(asyncio.all_tasks())),
    _histogram(
        "loop_lag",
        "how late a timer was called that is due every 0.1 s: the event loop was busy so long",
        lambda g: g.lag.lateness,
    ),
    # in and out
    _counter("connections_opened", "WebSockets accepted", lambda g: g.node.opened),
    _counter(
        "connections_rejected",
        "connections turned away before they were WebSockets",
        lambda g: _by_key(g.node.rejected),
        "reason",
    ),
    _counter(
        "closes",
        "WebSockets that ended, by close code and by who began: `server` or `client` (1006: "
        "it vanished)",
        _closes,
        "code",
        "by",
    ),
    _counter("frames_in", "WebSocket messages received", _frames_in),
    _counter("bytes_in", "bytes received on WebSockets", lambda g: g.node.bytes_in),
    _counter("deliveries", "events handed to sessions", lambda g: g.node.hub.deliveries),
    _counter("writes", "writes to sockets", lambda g: g.node.cork.writes),
    _counter(
        "frames_out",
        "frames in those writes; over `gateway_writes_total`: how many leave together",
        lambda g: g.node.cork.frames,
    ),
    _counter("bytes_out", "bytes in those writes", lambda g: g.node.cork.bytes_out),
    _gauge(
        "slow_readers",
        "connections whose socket takes nothing just now",
        lambda g: sum(session.full for session in g.node.sessions),
    ),
    _counter(
        "dropped",
        "frames replaced by newer ones, or dropped, for slow readers, by lane",
        lambda g: _by_key(g.node.dropped_by_lane),
        "lane",
    ),
    _gauge(
        "departures",
        "connections that are gone and still to be taken out of everything",
        lambda g: len(g.node.departures),
    ),
    # hellos and commands
    _histogram("hello", "hellos, from the frame to the welcome: waiting included", _hellos),
    _gauge(
        "hellos_waiting",
        "hellos that wait for their turn; who would wait too long is told `overloaded`",
        lambda g: g.node.bounds.hellos.waiting,
    ),
    _histogram("command", "commands, from their turn to the reply", _commands, "command"),
    _counter(
        "refusals",
        "errors told to clients, by error code",
        lambda g: _by_key(g.node.refusals),
        "code",
    ),
    # what must arrive
    _counter(
        "healed",
        "events read back from the database because the bus did not bring them",
        lambda g: g.node.streams.healed,
    ),
    _counter(
        "duplicates", "events dropped as already delivered", lambda g: g.node.streams.duplicates
    ),
    _counter(
        "unread_statements",
        "statements that counted unread messages",
        lambda g: g.node.unread.statements,
    ),
    # Redis and PostgreSQL
    _gauge("bus_healthy", "1 while this worker hears the others", lambda g: int(g.hears)),
    _counter(
        "bus_published", "announcements sent to other workers", lambda g: g.node.bus.published
    ),
    _counter(
        "bus_received", "announcements taken from other workers", lambda g: g.node.bus.received
    ),
    _counter(
        "bus_dropped",
        "announcements Redis did not take; the sweep heals them",
        lambda g: g.node.bus.dropped,
    ),
    _counter("bus_reconnects", "how often the bus came back", lambda g: g.node.bus.reconnects),
    _gauge(
        "presence_degraded",
        "1 while presence is the last known one",
        lambda g: int(g.node.services.presence.degraded),
    ),
    _gauge("database_connections", "open connections to PostgreSQL", lambda g: g.pool.get_size()),
    _gauge("database_idle", "those that nobody uses just now", lambda g: g.pool.get_idle_size()),
    _gauge(
        "database_waiting",
        "commands that wait for a connection to PostgreSQL",
        lambda g: g.services.pressure.waiting,
    ),
    _gauge(
        "pressure",
        "0: PostgreSQL keeps up; refused are from 1 on typing and presence, 2 reads, 3 writes",
        lambda g: g.services.pressure.level,
    ),
    _counter(
        "shed",
        "commands refused because too much waits for PostgreSQL, by what they cost",
        lambda g: _by_key(g.services.pressure.shed),
        "cost",
    ),
    # files
    _counter(
        "file_bytes_in",
        "bytes of uploaded files that this worker stored; those of a bucket do not pass here",
        lambda g: g.services.files.counts.bytes_in,
    ),
    _counter(
        "file_bytes_out",
        "bytes of files that this worker sent",
        lambda g: g.services.files.counts.bytes_out,
    ),
    _counter(
        "files_removed",
        "files removed from the storage, or looked for there in vain, and unfinished uploads",
        lambda g: g.services.files.counts.removed,
    ),
    _counter(
        "files_refused",
        "files refused when declared, uploaded, sent or read, by error code",
        lambda g: _by_key(g.services.files.counts.refused),
        "code",
    ),
    # from the PBX
    _gauge(
        "pbx_connected",
        "1 while this worker listens to this PBX of `GATEWAY_PBXS`",
        lambda g: _by_key(g.pipeline.metrics.connected),
        "pbx",
    ),
    _counter("ingest_received", "PBX events received", lambda g: g.pipeline.metrics.received),
    _counter("ingest_accepted", "those stored", lambda g: g.pipeline.metrics.accepted),
    _counter("ingest_duplicates", "those stored before", lambda g: g.pipeline.metrics.duplicates),
    _counter(
        "ingest_rejected",
        "those that are no events, or cannot be stored; see `realtime.ingest_rejects`",
        lambda g: g.pipeline.metrics.rejected,
    ),
    _counter(
        "ingest_refused",
        "submissions turned away because too much was waiting",
        lambda g: g.pipeline.metrics.refused,
    ),
    _counter(
        "ingest_batches", "batches stored in one transaction", lambda g: g.pipeline.metrics.batches
    ),
    _counter(
        "ingest_batch_seconds",
        "time spent in storing them",
        lambda g: g.pipeline.metrics.batch_us / 1e6,
    ),
)
