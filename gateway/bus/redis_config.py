"""How to reach Redis: one server or a cluster, with TLS or without.

app ─▶ Dial ─▶ bus, presence, limits. Nothing here tries again by itself: who asks knows better.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from redis.asyncio import (
    Connection,
    ConnectionPool,
    Redis,
    RedisCluster,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException

TIMEOUT_S = 2.0

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """Where Redis is, and how to speak to it."""

    url: str
    cluster: bool = False
    """The URL names one node of a Redis Cluster; it tells of the others."""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def pool(self, at: Address | None = None) -> ConnectionPool:
        """Return connections to one server: the URL's, or another one of the same cluster."""
        # The second protocol: there a message is an answer like any other.
        pool = ConnectionPool.from_url(self.url, protocol=2, **self._options())
        pool.connection_class = _REPORTING[pool.connection_class]
        if at is not None:
            pool.connection_kwargs.update(host=at[0], port=at[1])
        return pool

    def server_client(self, at: Address | None = None) -> Redis:
        """Return a client of one server; who takes it closes it."""
        client: Redis = Redis.from_pool(self.pool(at))
        return client

    def key_client(self) -> Redis:
        """Return a client for keys and scripts, which finds the right server by itself."""
        if not self.cluster:
            return self.server_client()
        # It does all that presence and limits ask for; redis-py gives the two no common type.
        client = _Cluster.from_url(self.url, protocol=2, **self._options())
        kind = _REPORTING[client.connection_kwargs["connection_class"]]
        client.connection_kwargs["connection_class"] = kind
        for node in client.nodes_manager.startup_nodes.values():
            node.connection_class = kind
        return cast("Redis", client)

    def _options(self) -> dict[str, Any]:
        files = {
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.cert_file,
            "ssl_keyfile": self.key_file,
        }
        return {
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": TIMEOUT_S,
            "socket_connect_timeout": TIMEOUT_S,
            "decode_responses": False,
            **{name: str(path) for name, path in files.items() if path is not None},
        }


class _Cluster(RedisCluster):
    """A cluster that cannot be reached is an outage: redis-py's own error for it is no RedisError.

    Whoever bounds what Redis may do to them catches RedisError.
    """

    async def initialize(self, *args: Any, **kwargs: Any) -> RedisCluster:
        try:
            return await super().initialize(*args, **kwargs)
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().execute_command(*args, **kwargs)
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error


class _ReportsClosed(AbstractConnection):
    """A connection that was lost is an outage, which uvloop calls a RuntimeError.

    When it is reset between two of redis-py's own commands, uvloop refuses to write: "unable to
    perform operation on <TCPTransport closed=True …>; the handler is closed".
    """

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().send_packed_command(*args, **kwargs)
        except RuntimeError as error:
            if "closed" not in str(error):
                raise
            raise RedisConnectionError(str(error)) from error


class _Tcp(_ReportsClosed, Connection):
    pass


class _Tls(_ReportsClosed, SSLConnection):
    pass


class _Unix(_ReportsClosed, UnixDomainSocketConnection):
    pass


_REPORTING: dict[Any, Any] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}
"""What a URL makes of redis-py's connections → the same, which reports what was lost."""
