"""Every setting, from the environment and nowhere else.

The names are these fields in capitals behind GATEWAY_: GATEWAY_DATABASE_URL, GATEWAY_PORT …
docs/operations.md lists them; a test keeps that list complete.
"""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.pbx_settings import Pbxs, PostingPbx, Region, Zone
from gateway.setting_lists import ROLES, Kinds, Networks, Roles, Words

BACKLOG = 4_096
"""Connections that wait to be taken: with uvicorn's 2048 a burst of 3,000 handshakes overflowed."""


def default_state_dir() -> Path:
    """Return where the embedded servers keep their data: $XDG_STATE_HOME/crm-gateway."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(home) / "crm-gateway"


class Settings(BaseSettings):
    """What an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    database_url: str | None = None
    """PostgreSQL of the CRM: `postgresql://user:password@host/database`. Unset: `gateway dev`
    starts its own."""
    redis_url: str | None = None
    """Redis 7 or Valkey: `redis://host:6379/0`, `rediss://…` or `unix:///path`. Unset: `gateway
    dev` starts its own."""
    redis_cluster: bool = False
    """GATEWAY_REDIS_URL names one node of a Redis Cluster, best by a name that several have; the
    others are found through it."""
    redis_ca_file: Path | None = None
    """Whose certificates Redis may show (`rediss://`); unset: those the system trusts."""
    redis_cert_file: Path | None = None
    """Certificate to show to Redis, if it asks for one …"""
    redis_key_file: Path | None = None
    """… and its key."""
    state_dir: Path = Field(default_factory=default_state_dir)
    """Where the embedded servers keep their data."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: int = Field(default=8080, ge=0, le=65535)
    """The one port for sockets, REST, health and the page."""
    workers: int = Field(default=1, ge=1, le=128)
    """Worker processes; about one per core."""
    roles: Roles = ROLES
    """What these workers do, separated by commas: `sockets` serves clients, `ingest` takes events
    from PBXs, `background` sends what is due and removes what is old."""
    worker_ports: int = Field(default=0, ge=0, le=65535)
    """If set, worker 1 also listens on this port, worker 2 on the next …: to reach just one."""
    node: str = Field(default_factory=lambda: f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}")
    """This worker's name among all nodes, unique. `gateway serve` adds the worker's number."""

    token_secret: SecretStr | None = None
    """Key that signs and checks tokens (HS256), 32 bytes or more; whoever issues them has it."""
    token_issuer: str = "crm-gateway"  # noqa: S105
    """What `iss` of a token must say."""
    token_audience: str = "crm-gateway"  # noqa: S105
    """What `aud` of a token must say."""
    token_leeway_s: int = Field(default=10, ge=0, le=60)
    """How far clocks may differ when a token's times are checked."""
    allowed_origins: Words = ()
    """Web origins that may open sockets and call REST, separated by commas:
    `https://crm.example.com`. The gateway's own origin always may."""
    trusted_proxies: Networks = ()
    """Load balancers whose X-Forwarded-For is believed, as addresses or networks separated by
    commas: `10.0.0.0/8`. Without it every client behind one has the balancer's address."""
    demo: bool = False
    """Serve the demo's sign-in (anyone becomes anyone): for `gateway dev` only."""

    pbx_secrets: dict[str, PostingPbx] = Field(default_factory=dict)
    """PBX name → secrets that sign its webhooks, as JSON: `{"main": ["whsec_…"]}`, or with the
    country of its numbers `{"main": {"secrets": ["whsec_…"], "region": "PL"}}`. Two secrets while
    one replaces the other."""
    pbxs: Pbxs = Field(default_factory=dict)
    """PBX name → how to reach it, as JSON; docs/telephony.md has the fields of each kind."""
    wallboard_tz: Zone = "UTC"
    """Whose midnight begins a queue's day, unless its watcher names a zone: `Europe/Kyiv`."""
    phone_region: Region = "UA"
    """Country whose national numbers a PBX sends that names none of its own (ISO 3166)."""

    database_pool: int = Field(default=10, ge=2, le=200)
    """Connections to PostgreSQL per worker."""
    database_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """After this long a statement is given up with `database.unavailable`."""

    max_frame_bytes: int = Field(default=65_536, ge=1_024, le=2**24)
    """Largest WebSocket message a client may send; beyond it 1009."""
    max_batch: int = Field(default=100, ge=1, le=1_000)
    """Most commands in one array frame."""
    max_body_bytes: int = Field(default=65_536, ge=1_024, le=2**26)
    """Largest REST body; beyond it 413."""
    max_webhook_bytes: int = Field(default=1_048_576, ge=1_024, le=2**26)
    """Largest body of POST /v1/telephony/events."""
    max_webhook_events: int = Field(default=1_000, ge=1, le=10_000)
    """Most events in one POST /v1/telephony/events."""
    commands_per_s: float = Field(default=20.0, gt=0)
    """Commands one connection may send on average …"""
    commands_burst: int = Field(default=60, ge=1)
    """… and at once."""
    writes_per_s: float = Field(default=20.0, gt=0)
    """Of them, those that store something, of one user over all connections and nodes …"""
    writes_burst: int = Field(default=100, ge=1)
    """… and at once."""
    reads_per_s: float = Field(default=40.0, gt=0)
    """Those that read history, lists and counts, of one user …"""
    reads_burst: int = Field(default=200, ge=1)
    """… and at once."""
    passing_per_s: float = Field(default=20.0, gt=0)
    """Typing notices and presence, of one user …"""
    passing_burst: int = Field(default=100, ge=1)
    """… and at once."""
    pings_per_s: float = Field(default=2.0, gt=0)
    """Pings and pongs of one connection, WebSocket's own included …"""
    pings_burst: int = Field(default=20, ge=1)
    """… and at once."""
    max_errors: int = Field(default=20, ge=1)
    """Malformed frames or refusals for speed within a minute before the connection is closed."""
    max_pending: int = Field(default=32, ge=1, le=1_000)
    """Commands of one connection that may wait; beyond it its socket is not read."""
    max_in_flight: int = Field(default=4, ge=1, le=100)
    """Commands of one connection that run at the same time; one that changes something runs
    before whatever was sent behind it."""
    max_topics: int = Field(default=2_000, ge=10)
    """Conversations a connection hears live: its newest ones."""
    connections_per_address: int = Field(default=2_000, ge=1)
    """Open connections per worker from one address."""
    connections_per_user: int = Field(default=20, ge=1)
    """Connections of one user, over all nodes; more are told to come back later (4406)."""
    replaced_kinds: Kinds = ("softphone",)
    """Kinds of device of which a user has one at a time, the newest, separated by commas. The same
    device always replaces its older connection."""
    accepts_per_s: float = Field(default=500.0, gt=0)
    """WebSockets a worker accepts on average …"""
    accepts_burst: int = Field(default=2_000, ge=1)
    """… and at once; beyond it 503 with Retry-After."""
    hellos_at_once: int = Field(default=128, ge=1, le=1_000)
    """Hellos a worker serves at the same time; the others queue."""
    hello_wait_s: float = Field(default=5.0, ge=0, le=600)
    """A hello that would queue for longer is told at once when to come back."""
    outgoing_bytes: int = Field(default=1_048_576, ge=65_536)
    """What may wait for a client that reads slowly; beyond it 4401."""

    deflate: bool = True
    """Offer permessage-deflate (RFC 7692), which browsers take: less traffic for more CPU."""
    deflate_min_bytes: int = Field(default=256, ge=64)
    """Frames with less than this leave as they are."""
    send_buffer_bytes: int = Field(default=65_536, ge=4_096, le=2**24)
    """What the kernel may hold for one client (SO_SNDBUF; Linux doubles it). Small, so that what
    waits for a slow reader waits where urgent frames overtake the others."""

    hello_s: float = Field(default=10.0, gt=0)
    """A socket that has not said hello by then is closed."""
    head_s: float = Field(default=5.0, gt=0)
    """An HTTP request's head must be complete by then."""
    body_s: float = Field(default=10.0, gt=0)
    """And its body by then, however it trickles; beyond it 408."""
    ping_s: float = Field(default=25.0, gt=0)
    """Quiet time after which the server pings. 25 s: home routers drop idle TCP after 30."""
    pong_s: float = Field(default=10.0, gt=0)
    """Silence after a ping that ends the connection."""
    drain_s: float = Field(default=15.0, gt=0)
    """How long a stopping worker may take to say goodbye."""
    hang_s: float = Field(default=30.0, ge=0, le=3_600)
    """A worker whose event loop has stood still for so long is killed and started again; it
    writes to its log where it stood. 0: never."""
    sweep_s: float = Field(default=2.0, gt=0)
    """How often each worker compares its positions with the database."""
    upkeep_s: float = Field(default=5.0, gt=0)
    """And how often it looks again who may come in, do what, and is in which conversations."""
    presence_lease_s: float = Field(default=15.0, gt=0)
    """A worker that is silent this long is dead, and what it held is taken over."""
    presence_grace_s: float = Field(default=10.0, ge=0)
    """How long someone whose last device went stays online: reloads are invisible."""
    presence_last_seen: bool = True
    """Whether colleagues see since when somebody is offline. The same for all nodes."""

    message_retention_days: int = Field(default=0, ge=0, le=36_500)
    """Messages older than this are deleted, once everyone in the conversation has read them. 0
    keeps them for ever."""
    call_event_months: int = Field(default=13, ge=1, le=1_200)
    """PBX events older than so many whole months are dropped, and no longer taken. Calls, their
    legs, stays in queues and statistics are kept for ever."""
    lost_call_hours: int = Field(default=12, ge=1, le=720)
    """A call that goes on, and of which nothing was heard for so long, has lost its end: it ends
    as *lost*, when it was last heard of."""
    pbx_payload_days: int = Field(default=0, ge=0, le=366)
    """For so many days what a PBX said is kept word for word, beside the events that were made of
    it (docs/telephony.md). 0: not at all."""

    files_dir: Path | None = None
    """Directory that keeps attached files, the same for all nodes. Unset, and without a bucket:
    messages have no attachments."""
    s3_bucket: str | None = None
    """Bucket that keeps attached files instead; needs the extra `s3`."""
    s3_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/?#]+/?$")
    """Address of an S3 other than AWS': `https://minio.example.com`. Clients must reach it, too."""
    s3_region: str | None = None
    """Its region; many that are not AWS want `us-east-1`."""
    s3_prefix: str = Field(default="files/", pattern=r"^[A-Za-z0-9/_.-]{0,200}$")
    """What every key in the bucket begins with."""
    s3_path_style: bool = False
    """Name the bucket in the path instead of the host: for MinIO and its like."""
    s3_access_key: SecretStr | None = None
    """Access key id. Unset: AWS' usual places are searched (environment, profile, role)."""
    s3_secret_key: SecretStr | None = None
    """Secret access key."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^?#]+$")
    """Where clients reach the gateway: `https://gateway.example.com`. Unset: links to files in
    GATEWAY_FILES_DIR are paths."""
    max_file_bytes: int = Field(default=26_214_400, ge=1, le=5 * 2**30)
    """Largest attached file."""
    max_files: int = Field(default=10, ge=1, le=100)
    """Most files of one message."""
    max_pending_file_bytes: int = Field(default=268_435_456, ge=1)
    """What one user may have declared that is in no message yet."""
    file_types: Words = (
        "image/*", "audio/*", "video/*", "text/plain", "text/csv", "text/calendar", "text/vcard",
        "application/pdf", "application/rtf", "application/zip", "application/json",
        "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
        "application/vnd.openxmlformats-officedocument.*", "application/vnd.oasis.opendocument.*",
    )  # fmt: skip
    """Content types that may be attached, as patterns separated by commas. `*/*`: all."""
    upload_link_s: int = Field(default=900, ge=10, le=86_400)
    """How long after it was declared a file can be uploaded."""
    download_link_s: int = Field(default=300, ge=10, le=86_400)
    """How long a link to read a file is good."""
    unattached_file_s: int = Field(default=86_400, ge=60)
    """A file that is in no message by then is removed."""
    file_sweep_s: float = Field(default=60.0, gt=0)
    """How often each worker looks for files to remove."""

    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")
    """debug, info, warning or error."""
    log_format: str = Field(default="text", pattern=r"^(text|json)$")
    """text for people, json for machines."""

    def takes(self, *roles: str) -> bool:
        """Say whether these workers have one of these roles."""
        return not set(self.roles).isdisjoint(roles)

    @field_validator("token_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        # RFC 7518, 3.2: an HS256 key has at least the hash's 256 bits.
        if value is not None and len(value.get_secret_value().encode()) < 32:
            raise ValueError("has fewer than 32 bytes; make one with: openssl rand -base64 32")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.files_dir is not None and self.s3_bucket is not None:
            raise ValueError("files_dir and s3_bucket: files are kept in one place")
        if (self.redis_cert_file is None) != (self.redis_key_file is None):
            raise ValueError("redis_cert_file and redis_key_file belong together")
        if self.redis_cluster and (self.redis_url or "").startswith("unix:"):
            raise ValueError("redis_cluster: a cluster has no Unix socket")
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            raise ValueError("s3_access_key and s3_secret_key belong together")
        return self
