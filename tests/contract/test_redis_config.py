"""How Redis is reached, on the event loop that serves."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.bus import RedisConfig
from tests.support.cluster import Cluster


@pytest.mark.parametrize("many", [False, True], ids=["server", "cluster"])
def test_a_connection_lost_under_a_command_is_an_outage(
    request: pytest.FixtureRequest, *, many: bool
) -> None:
    """To uvloop writing to it is a RuntimeError, which nobody who bounds Redis would catch."""
    if many:
        servers: Cluster = request.getfixturevalue("cluster")
        dial = RedisConfig(servers.url, cluster=True)
    else:
        dial = RedisConfig(request.getfixturevalue("redis_url"))

    async def cut_and_ask() -> None:
        async with dial.key_client() as redis:
            await redis.ping()
            pools = redis.get_nodes() if many else [redis.connection_pool]  # type: ignore[attr-defined]
            connection = next(one for pool in pools for one in _free(pool))
            connection._writer.transport.abort()
            with pytest.raises(RedisConnectionError):
                await connection.send_command("PING", check_health=False)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(cut_and_ask())


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_connection_looks_no_version_up(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py would read its package's metadata for each: 1 ms in which nothing else is served."""
    monkeypatch.setattr("redis.utils.get_lib_version", lambda: pytest.fail("looked up"))
    pool: Any = RedisConfig(f"{scheme}://127.0.0.1").pool()
    made = pool.make_connection()

    assert made.driver_info.formatted_name == "redis-py"
    assert made.driver_info.lib_version == version("redis")


def _free(pool: Any) -> list[Any]:
    """Return connections that nobody uses, of a pool or a cluster's node."""
    found = getattr(pool, "_available_connections", None)
    return list(getattr(pool, "_free", ()) if found is None else found)
