"""PostgreSQL as a child process: created at the first start, reused at the next.

A cold start (initdb included) takes about 0.7 s, a warm one 0.1 s: initdb does not fsync,
because what it writes can be made again.
"""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from gateway.embedded import wire
from gateway.embedded.binaries import PostgresBinaries, find_postgres
from gateway.embedded.errors import DidNotStart
from gateway.embedded.process import Child, run, start
from gateway.embedded.state import (
    ServerHome,
    home_for,
    lock_directory,
    prepare,
    readable_copy,
    socket_dir,
)

USER = "gateway"
DATABASE = "gateway"
PORT = 5432
"""Part of the name of the socket's file only: there is no TCP."""

START_S = 60.0
"""Crash recovery after a kill can take this long on a laptop's disk."""
LOCKED_S = 10.0
"""A server killed with its parent needs about 0.1 s to release its directory, 10 s at worst."""
POLL_S = 0.005

STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
"""Fast shutdown (open sessions are ended), then immediate."""

STILL_LOCKED = ("already exists", "pre-existing shared memory block")


@dataclass(slots=True)
class Postgres:
    """A running PostgreSQL; a context manager that stops it."""

    socket_dir: Path
    version: int
    _child: Child
    _resources: ExitStack

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    def dsn(self, database: str = DATABASE) -> str:
        """Return a URL for asyncpg and psql."""
        # With the port, or PGPORT of the environment would be used.
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql://{USER}@/{quote(database)}?host={host}&port={PORT}"

    def stop(self) -> None:
        """Shut down and release the state directory; may be repeated."""
        self._child.stop()
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_postgres(
    state_dir: Path,
    *,
    durable: bool = True,
    max_connections: int = 100,
    bin_dir: Path | None = None,
) -> Postgres:
    """Start PostgreSQL in this state directory and return when it answers.

    durable=False keeps nothing safe from a power cut, for tests. AlreadyRunning when another
    process uses the directory, NoBinaries and DidNotStart say what to do.
    """
    state_dir = prepare(state_dir)
    with ExitStack() as resources:
        resources.enter_context(lock_directory(state_dir / "postgres.lock"))
        binaries = find_postgres(state_dir / "postgres", bin_dir)
        home = home_for(state_dir, binaries.postgres)
        binaries = PostgresBinaries(readable_copy(home, binaries.bin_dir), binaries.major)
        data_dir = _data_dir(home, binaries)
        sockets = resources.enter_context(socket_dir(home, "run", f".s.PGSQL.{PORT}"))
        command = [
            str(binaries.postgres),
            *("-D", str(data_dir), "-k", str(sockets), "-h", "", "-p", str(PORT)),
            *_settings(binaries, durable=durable, max_connections=max_connections),
        ]
        child = _start(command, state_dir / "postgres.log", home, sockets)
        resources.callback(child.stop)
        _make_database(sockets / f".s.PGSQL.{PORT}")
        return Postgres(sockets, binaries.major, child, resources.pop_all())
    raise AssertionError  # ExitStack suppresses nothing


def _data_dir(home: ServerHome, binaries: PostgresBinaries) -> Path:
    """Return the data directory; a new one is created completely or not at all."""
    data_dir = home.directory / "postgres"
    if (data_dir / "PG_VERSION").exists():
        return home.give_ownership(data_dir)
    growing = home.directory / "postgres.new"
    for locale in _locales(binaries.major):
        shutil.rmtree(growing, ignore_errors=True)
        home.private(growing.name)
        try:
            run([*_initdb(binaries, growing), *locale], identity=home.identity)
        except DidNotStart as error:
            failure = error
            continue
        growing.rename(data_dir)
        return data_dir
    raise failure


def _initdb(binaries: PostgresBinaries, directory: Path) -> list[str]:
    trust = ("-A", "trust")  # safe: only this user can enter the socket's directory
    return [
        str(binaries.initdb),
        *("-D", str(directory), "-U", USER, "-E", "UTF8", "--no-sync", *trust),
    ]


def _locales(major: int) -> list[list[str]]:
    """Return ways to say "UTF-8, sorted by code point", best first.

    Plain C would not know that И is the capital of и.
    """
    if major >= 17:
        return [["--locale-provider=builtin", "--locale=C.UTF-8", "--lc-messages=C"]]
    return [[f"--locale={name}", "--lc-messages=C"] for name in ("C.UTF-8", "en_US.UTF-8", "C")]


def _settings(binaries: PostgresBinaries, *, durable: bool, max_connections: int) -> list[str]:
    settings = {
        "max_connections": str(max_connections),
        "shared_buffers": "128MB" if durable else "64MB",
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "jit": "off",  # our statements take milliseconds; compiling one takes tens
    }
    if binaries.has_library("pg_stat_statements"):
        settings["shared_preload_libraries"] = "pg_stat_statements"
    if not durable:
        settings |= {
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "max_wal_size": "256MB",  # the directory may be in memory
        }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _start(command: list[str], log: Path, home: ServerHome, sockets: Path) -> Child:
    """Start the server and wait until it answers; first wait for a predecessor to end."""
    locked_until = time.monotonic() + LOCKED_S
    while True:
        child = start(
            "PostgreSQL", command, log=log, identity=home.identity, stop_signals=STOP_SIGNALS
        )
        try:
            if _answers(child, sockets / f".s.PGSQL.{PORT}"):
                return child
        except BaseException:
            child.stop()
            raise
        still_locked = any(text in child.output() for text in STILL_LOCKED)
        if not still_locked or time.monotonic() > locked_until:
            raise child.failed("ended while starting")
        time.sleep(0.1)


def _answers(child: Child, path: Path) -> bool:
    """Return True when a session is served, False when the server ended."""
    deadline = time.monotonic() + START_S
    while child.alive:
        try:
            pid = wire.query(path, "SELECT pg_backend_pid()", user=USER, database="postgres")
        except (OSError, wire.QueryRefused):
            if time.monotonic() > deadline:
                raise child.failed(f"did not answer within {START_S:.0f} s") from None
            time.sleep(POLL_S)
        else:
            return bool(pid)
    return False


def _make_database(path: Path) -> None:
    names = wire.query(path, "SELECT datname FROM pg_database", user=USER, database="postgres")
    if DATABASE not in names:
        wire.query(path, f"CREATE DATABASE {DATABASE}", user=USER, database="postgres")
