"""Every setting, from the environment and nowhere else.

The names are these fields in capitals behind GATEWAY_: GATEWAY_DATABASE_URL, GATEWAY_PORT …
docs/operations.md lists them; a test keeps that list complete. Those of tokens, files, the audit
and the page's sign-in have modules of their own.
"""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from gateway.audit_settings import AuditSettings
from gateway.connection_settings import ConnectionSettings
from gateway.event_settings import EventSettings
from gateway.file_settings import FileSettings
from gateway.oidc_settings import OidcSettings
from gateway.pbx_settings import Pbxs, PostingPbx, Region, Zone
from gateway.setting_lists import ROLES, CommaSeparated, DeviceKinds, Networks, Origins, Roles
from gateway.token_settings import TokenSettings
from gateway.weak_secrets import is_example

BACKLOG = 4_096
"""Connections that wait to be taken: with uvicorn's 2048 a burst of 3,000 handshakes overflowed."""


def default_state_dir() -> Path:
    """Return where the embedded servers keep their data: $XDG_STATE_HOME/crm-gateway."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(home) / "crm-gateway"


class Settings(
    FileSettings, TokenSettings, OidcSettings, EventSettings, ConnectionSettings, AuditSettings
):
    """What an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    database_url: str | None = None
    """Address of the CRM's PostgreSQL: `postgresql://user:password@host/database`. Required, except
    by `gateway dev`, which starts its own when it is unset."""
    redis_url: str | None = None
    """Address of Redis 7 or Valkey: `redis://host:6379/0`, `rediss://…` or `unix:///path`.
    Required, except by `gateway dev`, which starts its own when it is unset."""
    redis_cluster: bool = False
    """Set it to true when GATEWAY_REDIS_URL leads to a Redis Cluster; the gateway finds the other
    nodes through that one. Use a host name that resolves to several nodes, so that one may be down
    at the start."""
    redis_ca_file: Path | None = None
    """PEM file of the certificate authorities that may sign Redis' certificate (`rediss://`).
    Unset: those that the system trusts. Set it for an authority of your own."""
    redis_cert_file: Path | None = None
    """PEM file of the client certificate that the gateway shows to Redis. Set it, together with
    GATEWAY_REDIS_KEY_FILE, when Redis requires one."""
    redis_key_file: Path | None = None
    """PEM file of the private key that belongs to GATEWAY_REDIS_CERT_FILE."""
    state_dir: Path = Field(default_factory=default_state_dir)
    """Directory in which `gateway dev` keeps its servers' data and its secrets. Change it to run a
    second `gateway dev`."""

    host: str = "127.0.0.1"
    """Address to listen on. Set it to 0.0.0.0 to accept connections from other machines."""
    port: int = Field(default=8080, ge=0, le=65535)
    """TCP port for WebSockets, REST, health checks and the page. Change it when another program
    uses it."""
    workers: int = Field(default=1, ge=1, le=128)
    """Number of worker processes. Use about one per CPU core."""
    roles: Roles = ROLES
    """Roles of these workers, separated by commas: `sockets` serves clients, `ingest` receives PBX
    events, `background` sends scheduled messages and deletes what has expired. Change it to run
    roles on machines of their own."""
    worker_ports: int = Field(default=0, ge=0, le=65535)
    """Set it to a port, and worker 1 listens there too, worker 2 on the next port, and so on. Use
    it to reach one particular worker, and for `/metrics`, which is there alone. 0: off."""
    worker_host: str = "127.0.0.1"
    """Address on which the ports of GATEWAY_WORKER_PORTS listen. Set it to an address of your
    internal network when your monitoring is on another machine; clients must not reach it."""
    node: str = Field(default_factory=lambda: f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}")
    """Name of this node, unique among all nodes; `gateway serve` appends the number of the worker.
    Set it to read the same name in logs after each start."""

    allowed_origins: CommaSeparated = ()
    """Web origins that may open WebSockets and call REST from a browser, separated by commas:
    `https://crm.example.com`. The gateway's own origin is always allowed. Set it when your pages
    are served from elsewhere."""
    picture_origins: Origins = ()
    """Web origins, besides the gateway's own, from which the page may load pictures of people and
    groups, separated by commas: `https://crm.example.com`. Whoever runs one sees who looks."""
    trusted_proxies: Networks = ()
    """Addresses of the load balancers whose X-Forwarded-For is trusted, separated by commas:
    `10.0.0.5,10.0.0.6`. Unset, all clients share a balancer's address and limits. In a network that
    is named here, clients could choose their addresses."""
    demo: bool = False
    """Serves the demo's sign-in, with which anyone may become any employee. `gateway dev` sets it;
    never set it elsewhere."""

    pbx_secrets: dict[str, PostingPbx] = Field(default_factory=dict)
    """Secrets that sign the webhooks of each PBX, as JSON: `{"main": ["whsec_…"]}`, or with the
    country of its national numbers `{"main": {"secrets": ["whsec_…"], "region": "PL"}}`. List two
    secrets while one replaces the other."""
    pbxs: Pbxs = Field(default_factory=dict)
    """The PBXs to connect to and the Twilio accounts, by name, as JSON; docs/telephony.md describes
    the fields of each kind. Unset: the gateway connects to none."""
    wallboard_tz: Zone = "UTC"
    """Time zone whose midnight begins the day of the live queue figures, for clients that name no
    zone: `Europe/Kyiv`. Set it to the zone in which your call centre works."""
    phone_region: Region = "UA"
    """Country (ISO 3166) by whose rules national telephone numbers are read, for PBXs that name no
    `region`. Set it to the country of your PBX."""

    database_pool: int = Field(default=10, ge=2, le=200)
    """Largest number of PostgreSQL connections of one worker. Raise it when `gateway_database_idle`
    stays at 0; this value times workers times nodes must stay below `max_connections`."""
    database_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds after which a statement is cancelled; its command is answered with
    `database.unavailable`. Raise it only for a slow database whose statements would still
    succeed."""

    max_frame_bytes: int = Field(default=65_536, ge=1_024, le=2**24)
    """Largest WebSocket message from a client, in bytes; a larger one closes the connection with
    1009. Raise it for clients that send large arrays of commands."""
    max_batch: int = Field(default=100, ge=1, le=1_000)
    """Largest number of commands in one array frame; more are refused with `limit.too_many`. Lower
    it to bound the work of one frame."""
    max_body_bytes: int = Field(default=65_536, ge=1_024, le=2**26)
    """Largest body of a REST request, in bytes; a larger one is answered with 413. PBX events and
    files have limits of their own."""
    max_webhook_bytes: int = Field(default=1_048_576, ge=1_024, le=2**26)
    """Largest body of POST /v1/telephony/events, in bytes; a larger one is answered with 413. Raise
    it together with GATEWAY_MAX_WEBHOOK_EVENTS for a PBX that sends large batches."""
    max_webhook_events: int = Field(default=1_000, ge=1, le=10_000)
    """Largest number of events in one POST /v1/telephony/events; more are answered with 413. Raise
    it for a PBX that sends large batches."""
    commands_per_s: float = Field(default=20.0, gt=0)
    """Commands per second that one connection may send on average. REST requests of one employee
    have the same limit. Raise it for bots."""
    commands_burst: int = Field(default=60, ge=1)
    """Commands that one connection may send at once before GATEWAY_COMMANDS_PER_S applies. Raise it
    for clients that send many commands when they open."""
    writes_per_s: float = Field(default=20.0, gt=0)
    """Commands per second that store something, for one user on average, over all connections and
    nodes. Raise it for bots that send many messages."""
    writes_burst: int = Field(default=100, ge=1)
    """Storing commands that one user may send at once before GATEWAY_WRITES_PER_S applies. Raise it
    when people rightly meet `limit.too_fast` in a burst."""
    reads_per_s: float = Field(default=40.0, gt=0)
    """Commands per second that read history, lists and counts, for one user on average, over all
    connections and nodes. Raise it for clients that export."""
    reads_burst: int = Field(default=200, ge=1)
    """Reading commands that one user may send at once before GATEWAY_READS_PER_S applies. Raise it
    for clients that load much when they open."""
    passing_per_s: float = Field(default=20.0, gt=0)
    """Typing notices and presence commands per second, for one user on average, over all
    connections and nodes. Lower it to save CPU."""
    passing_burst: int = Field(default=100, ge=1)
    """Typing notices and presence commands that one user may send at once before
    GATEWAY_PASSING_PER_S applies."""
    pings_per_s: float = Field(default=2.0, gt=0)
    """Pings and pongs per second that one connection may send on average, WebSocket's own included.
    More are not answered and count as errors of GATEWAY_MAX_ERRORS."""
    pings_burst: int = Field(default=20, ge=1)
    """Pings and pongs that one connection may send at once before GATEWAY_PINGS_PER_S applies."""
    max_errors: int = Field(default=20, ge=1)
    """Malformed frames, or refusals for speed, within one minute that close a connection (4004,
    4402). Raise it while you debug a client."""
    max_pending: int = Field(default=32, ge=1, le=1_000)
    """Commands of one connection that may wait for their turn; with more, the gateway stops reading
    its socket until there are fewer. Lower it to save memory."""
    max_in_flight: int = Field(default=4, ge=1, le=100)
    """Commands of one connection that run at the same time. A command that changes something
    finishes before commands sent after it begin. 1: all run one after another."""
    max_topics: int = Field(default=2_000, ge=10)
    """Largest number of conversations, the newest ones, of which one connection receives live
    events. Lower it to save memory."""
    connections_per_address: int = Field(default=2_000, ge=1)
    """Open connections per worker from one client address (of IPv6: one /64); more are refused with
    429. Raise it when many employees share one address."""
    connections_per_user: int = Field(default=20, ge=1)
    """Open connections of one user over all nodes; more are refused and closed with 4406. Raise it
    for employees who are bots."""
    replaced_kinds: DeviceKinds = ("softphone",)
    """Kinds of device of which a user has only one connection, the newest, separated by commas. An
    older connection of the same device is always replaced. Change it, for example, to allow two
    softphones."""
    anonymous_per_s: float = Field(default=200.0, gt=0)
    """HTTP requests per second without a valid token, signature or link (the page, descriptions of
    the API, failed sign-ins) that one address (of IPv6: one /64) may send to one worker on average;
    more are answered with 429, but for a 401. Health checks are not limited."""
    anonymous_burst: int = Field(default=5_000, ge=1)
    """Anonymous HTTP requests that one address may send at once before GATEWAY_ANONYMOUS_PER_S
    applies. Opening the page takes about 70; raise it when many employees share one address."""
    accepts_per_s: float = Field(default=500.0, gt=0)
    """WebSockets per second that a worker accepts on average; more are answered with 503 and
    Retry-After. Lower it when reconnects of all clients take too much CPU."""
    accepts_burst: int = Field(default=2_000, ge=1)
    """WebSockets that a worker accepts at once before GATEWAY_ACCEPTS_PER_S applies. Lower it when
    reconnects of all clients take too much CPU."""
    hellos_at_once: int = Field(default=128, ge=1, le=1_000)
    """Hellos (sign-ins) that one worker serves at the same time; others wait. Hellos read in shared
    statements, so a lower value makes a storm of reconnects longer."""
    hello_wait_s: float = Field(default=5.0, ge=0, le=600)
    """Longest time in seconds that a hello may wait for its turn; one that would wait longer is
    answered at once with `overloaded` and a `retry_after`. Raise it for clients that cannot repeat
    a hello."""
    outgoing_bytes: int = Field(default=1_048_576, ge=65_536)
    """Bytes that may wait for a client that reads slowly; with more, the connection is closed with
    4401 and the client resumes. Raise it for clients behind bad networks, lower it to save
    memory."""

    unsent_bytes: int = Field(default=8_388_608, ge=65_536)
    """Bytes of HTTP responses that may wait in one worker for one employee, or one address without
    a token, because they are not read; with more, the connection that has waited longest is
    cut."""
    unsent_total_bytes: int = Field(default=134_217_728, ge=1_048_576)
    """Bytes of HTTP responses that may wait in one worker for all clients together; with more, the
    connection that has waited longest is cut. Raise it where many clients download slowly."""

    deflate: bool = True
    """Offers permessage-deflate (RFC 7692): less traffic, more CPU. Set it to false when CPU is
    scarcer than bandwidth."""
    deflate_min_bytes: int = Field(default=256, ge=64)
    """Frames with fewer bytes, or with more than 256 KiB, are sent uncompressed. Raise it to save
    CPU."""
    send_buffer_bytes: int = Field(default=65_536, ge=4_096, le=2**24)
    """Bytes that the kernel may buffer for one client (SO_SNDBUF; Linux doubles it). Small on
    purpose: frames that wait in the gateway can be overtaken by urgent ones, those in the kernel
    cannot."""

    hello_s: float = Field(default=10.0, gt=0)
    """Seconds within which a new connection must send its hello; otherwise it is closed with 4403.
    Raise it for clients that fetch a token only after they connect."""
    head_s: float = Field(default=5.0, gt=0)
    """Seconds within which the head of an HTTP request must be complete; otherwise the connection
    is cut. Raise it for clients on very slow networks."""
    body_s: float = Field(default=10.0, gt=0)
    """Seconds within which the body of an HTTP request must be complete, and longest pause in an
    upload; otherwise it is answered with 408. Raise it for slow networks."""
    send_s: float = Field(default=30.0, gt=0)
    """Seconds within which a client must take something of an HTTP response that waits for it;
    otherwise the connection is cut. Raise it for very slow networks."""
    ping_s: float = Field(default=25.0, gt=0)
    """Seconds without traffic after which the server pings a client. 25 s because home routers drop
    an idle TCP connection after 30 s; a proxy's read timeout must be longer."""
    pong_s: float = Field(default=10.0, gt=0)
    """Seconds to wait for any frame after a ping before the connection is closed with 4405. Raise
    it for clients behind bad networks."""
    drain_s: float = Field(default=15.0, gt=0)
    """Seconds within which a stopping worker finishes commands and says goodbye to its clients. The
    service manager must wait 5 s longer before it kills."""
    hang_s: float = Field(default=30.0, ge=0, le=3_600)
    """Seconds without a sign of life from its event loop after which a worker is killed and
    replaced; it logs a stack trace first. 0: never."""
    sweep_s: float = Field(default=2.0, gt=0)
    """Seconds between two comparisons of a worker's positions with the database; changes that the
    bus lost, and messages that the CRM stored, arrive within this time. Raise it to save
    PostgreSQL's CPU."""
    upkeep_s: float = Field(default=5.0, gt=0)
    """Seconds between two checks of the signed-in employees' permissions and of the conversations
    they take part in."""
    standing_s: float = Field(default=1.0, gt=0)
    """Seconds between two checks for deactivated employees and revoked tokens, whose sessions are
    ended, for revoked service accounts, and for what functions of the CRM changed. Raise it to save
    CPU: 10,000 connected employees cost PostgreSQL about 8 ms each time."""
    presence_lease_s: float = Field(default=15.0, gt=0)
    """Seconds without renewal after which a worker counts as dead and another takes over its
    connections' presence. Use the same value on all nodes."""
    presence_grace_s: float = Field(default=10.0, ge=0)
    """Seconds for which a person stays online after their last device has disconnected, so that
    nobody sees a page reload. Use the same value on all nodes."""
    presence_last_seen: bool = True
    """Shows to colleagues since when somebody is offline. Set it to false, on all nodes, where that
    must not be shown."""

    owner_grace_s: float = Field(default=600.0, ge=0)
    """Seconds after which a group without an active owner gets one. Raise it for slow imports."""
    message_retention_days: int = Field(default=0, ge=0, le=36_500)
    """Age in days at which messages are deleted, but not before every participant has read them. 0:
    they are kept for ever."""
    call_event_months: int = Field(default=13, ge=1, le=1_200)
    """Age in whole months at which stored PBX events are dropped; older ones are refused. Calls,
    legs, queue stints and statistics are kept for ever."""
    lost_call_hours: int = Field(default=12, ge=1, le=720)
    """Hours without any event after which an open call counts as lost: it ends, at the time of its
    last event, as *lost*. Raise it if your calls last longer."""
    pbx_payload_days: int = Field(default=0, ge=0, le=366)
    """Days for which the PBX's own words are stored beside the events made of them
    (docs/telephony.md). Set it while you look for a fault. 0: they are not stored."""

    jobs_at_once: int = Field(default=16, ge=4, le=1_000)
    """Background jobs that one worker runs at the same time: scheduled messages, retention, removal
    of files. Each kind of work has its share of them. Lower it when background work keeps the
    database busy."""

    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")
    """Least important log level that is written: `debug`, `info`, `warning` or `error`. Use `debug`
    only for a short time."""
    log_format: str = Field(default="text", pattern=r"^(text|json)$")
    """Format of a log line: `text` for people, `json` for a log collector."""

    def takes(self, *roles: str) -> bool:
        """Say whether these workers have one of these roles."""
        return not set(self.roles).isdisjoint(roles)

    @field_validator("database_url", "redis_url")
    @classmethod
    def _is_no_example(cls, value: str | None) -> str | None:
        if value is not None and is_example(value):
            raise ValueError("has the password of an example; make one with: openssl rand -hex 24")
        return value

    @model_validator(mode="after")
    def _redis_fits(self) -> Self:
        if (self.redis_cert_file is None) != (self.redis_key_file is None):
            raise ValueError("redis_cert_file and redis_key_file belong together")
        if self.redis_cluster and (self.redis_url or "").startswith("unix:"):
            raise ValueError("redis_cluster: a cluster has no Unix socket")
        return self

    @model_validator(mode="after")
    def _sign_in_has_an_address(self) -> Self:
        if self.oidc_issuer is None:
            return self
        if self.public_url is None:
            raise ValueError("oidc_issuer needs public_url")
        if not (self.oidc_private or self.public_url.startswith("https://")):
            raise ValueError("public_url: people sign in by https://, unless oidc_private is true")
        return self
