"""The servers that workers need: a durable PostgreSQL and a Redis, each of which can be killed.

stage ─▶ Servers ─▶ the embedded programs. Redis writes an append-only file here: that of
`gateway dev` loses its data on purpose, and a restart that keeps all data is to be tested, too.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import redis

from gateway import db, demo
from gateway.embedded import Postgres, start_postgres
from gateway.embedded.binaries import find_valkey
from gateway.embedded.process import Child, start
from tests.faults.starvation import children

START_S = 30.0
POLL_S = 0.02


class Servers:
    """Both, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._redis_dir = directory / "redis"
        self.redis_socket = directory / "redis.sock"
        self._redis: Child | None = None
        self._postgres: Postgres | None = None

    def open(self) -> None:
        self.start_postgres()
        self.start_redis()

    def close(self) -> None:
        if self._redis is not None:
            self._redis.stop()
        if self._postgres is not None:
            self._postgres.stop()

    async def prepare(self) -> None:
        """Make the database one in which people can write."""
        conn = await db.connect(self.dsn, application_name="faults")
        try:
            await db.migrate(conn)
            await demo.install(conn)
        finally:
            await conn.close()

    def pids(self) -> dict[str, list[int]]:
        """Return the processes of both, by name."""
        found: dict[str, list[int]] = {}
        if self._redis is not None:
            found["Redis"] = [self._redis.pid]
        if self._postgres is not None:
            found["PostgreSQL"] = [self._postgres.pid, *children(self._postgres.pid)]
        return found

    # --- PostgreSQL ------------------------------------------------------------------------

    @property
    def dsn(self) -> str:
        """Where the database is, past every proxy."""
        return self.postgres.dsn()

    @property
    def postgres(self) -> Postgres:
        assert self._postgres is not None
        return self._postgres

    @property
    def postgres_socket(self) -> Path:
        return self.postgres.socket_dir / ".s.PGSQL.5432"

    def start_postgres(self) -> None:
        self._postgres = start_postgres(self._directory, durable=True, max_connections=200)

    def crash_postgres(self) -> None:
        """Stop it as a crash would: no checkpoint, no goodbye to anyone."""
        os.kill(self.postgres.pid, signal.SIGQUIT)
        _wait_gone(self.postgres)
        self.postgres.stop()

    # --- Redis -----------------------------------------------------------------------------

    def start_redis(self) -> None:
        self._redis_dir.mkdir(exist_ok=True)
        self.redis_socket.unlink(missing_ok=True)
        self._redis = start(
            "Redis",
            [
                str(find_valkey()),
                *("--port", "0", "--unixsocket", str(self.redis_socket)),
                *("--dir", str(self._redis_dir), "--save", ""),
                *("--appendonly", "yes", "--appendfsync", "always"),
            ],
            log=self._directory / "redis.log",
        )
        self._wait_for_redis()

    def crash_redis(self, *, forget: bool) -> None:
        """Kill it; it comes back with what it had written, or with nothing."""
        assert self._redis is not None
        os.kill(self._redis.pid, signal.SIGKILL)
        self._redis.stop()
        if forget:
            shutil.rmtree(self._redis_dir)

    def redis_run(self) -> str:
        """Return which life of Redis this is."""
        with self.redis() as client:
            run: str = client.info("server")["run_id"]
        return run

    def redis(self) -> redis.Redis:
        """Return a client that goes past every proxy."""
        return redis.Redis(unix_socket_path=str(self.redis_socket), socket_timeout=10.0)

    def _wait_for_redis(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with suppress(redis.RedisError, OSError), self.redis() as client:
                client.ping()
                return
            time.sleep(POLL_S)
        raise RuntimeError("Redis did not come up")


def _wait_gone(server: Postgres) -> None:
    deadline = time.monotonic() + START_S
    while server.alive and time.monotonic() < deadline:
        time.sleep(POLL_S)


class BorrowedServers(Servers):
    """Some that run already, with a database that is prepared: for faults that spare them."""

    def __init__(self, dsn: str, redis_url: str) -> None:
        self._dsn = dsn
        self._socket_dir = Path(parse_qs(urlsplit(dsn).query)["host"][0])
        self.redis_socket = Path(redis_url.removeprefix("unix://"))

    @staticmethod
    def possible(dsn: str, redis_url: str) -> bool:
        """Say whether both are on sockets of this machine, before which a proxy can be put."""
        host = parse_qs(urlsplit(dsn).query).get("host", [""])[0]
        return host.startswith("/") and redis_url.startswith("unix://")

    def open(self) -> None: ...

    def close(self) -> None: ...

    async def prepare(self) -> None: ...

    def pids(self) -> dict[str, list[int]]:
        return {}

    @property
    def dsn(self) -> str:
        return self._dsn

    @property
    def postgres_socket(self) -> Path:
        return self._socket_dir / ".s.PGSQL.5432"
