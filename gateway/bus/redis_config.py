"""How to connect to Redis: one server or a cluster, with TLS or without.

app ─▶ RedisConfig ─▶ bus, presence, limits. Clients made here never retry by themselves: each user
of Redis decides that itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

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
from redis.driver_info import DriverInfo
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException

from gateway.settings import Settings

TIMEOUT_S = 2.0
DRIVER = DriverInfo()
"""How connections call themselves. redis-py would look its version up for each: 1 ms of reading
package metadata."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """Address and TLS files of Redis."""

    url: str
    cluster: bool = False
    """Whether the URL names one node of a Redis Cluster, from which the others are learned."""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return how to reach the Redis of these settings, which must have one."""
        assert settings.redis_url is not None
        return cls(
            settings.redis_url,
            cluster=settings.redis_cluster,
            ca_file=settings.redis_ca_file,
            cert_file=settings.redis_cert_file,
            key_file=settings.redis_key_file,
        )

    def pool(self, at: Address | None = None) -> ConnectionPool:
        """Return connections to one server: the URL's, or another one of the same cluster."""
        # RESP 2: a pub/sub message arrives as an ordinary reply.
        pool = ConnectionPool.from_url(self.url, protocol=2, **self._options())
        pool.connection_class = _REPORTING[pool.connection_class]
        if at is not None:
            pool.connection_kwargs.update(host=at[0], port=at[1])
        return pool

    def server_client(self, at: Address | None = None) -> Redis:
        """Return a client of one server; the caller closes it."""
        client: Redis = Redis.from_pool(self.pool(at))
        return client

    def key_client(self) -> Redis:
        """Return a client for keys and scripts, which finds the right server by itself."""
        if not self.cluster:
            return self.server_client()
        # It has every method that presence and limits use; redis-py gives the two no common type.
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
            "driver_info": DRIVER,
            **{name: str(path) for name, path in files.items() if path is not None},
        }


class _Cluster(RedisCluster):
    """Report an unreachable cluster as a RedisError: redis-py's own error for it is none.

    Callers catch RedisError as the sign of an outage.
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
    """Report a lost connection as a RedisError: uvloop raises a RuntimeError.

    When the connection is reset between two of redis-py's own commands, uvloop refuses to write:
    "unable to perform operation on <TCPTransport closed=True …>; the handler is closed".
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
"""What a URL makes of redis-py's connections → the same with _ReportsClosed."""
