"""Connections to PostgreSQL outlive what has closed them, for the next test of this process.

    gateway, test ─▶ asyncpg.connect, create_pool ─▶ an idle connection, or a new one
    close() ─▶ reset, kept idle

A new connection costs the server 10 to 50 ms of CPU in its first second: a process, its caches of
the catalogue, and the plan of every statement. A test has some ten of them. A kept one is as new to
who gets it: session settings, locks, listeners, transactions are gone; prepared statements stay.
"""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict
from collections.abc import Hashable
from typing import Any

import asyncpg
import asyncpg.connection

RESET_S = 5.0
APPLICATION = "application_name"

connect_anew = asyncpg.connection.connect
_idle: defaultdict[str, list[tuple[Hashable, Any]]] = defaultdict(list)
"""DSN → connections that nobody uses, with what they were opened with."""
_used: defaultdict[str, set[Any]] = defaultdict(set)
"""DSN → connections that somebody has and has not closed."""
_loop: asyncio.AbstractEventLoop | None = None
"""The loop that the tests share; connections of other loops are not kept."""


def keep_connections() -> None:
    """Keep those that are opened in this event loop from now on."""
    global _loop  # noqa: PLW0603 - asyncpg's functions, which it changes, are global, too
    _loop = asyncio.get_running_loop()


class _Reused:
    """What is added to a class of connections. Uses asyncpg's internals: see pyproject.toml."""

    _dsn: str
    _kind: type[Any]
    _opened_with: Hashable
    _codecs: set[Hashable]

    async def set_type_codec(self, typename: str, **how: Any) -> None:
        """Look the type up once only, like everything that a connection keeps."""
        codec = typename, *sorted((name, str(value)) for name, value in how.items())
        if codec not in self._codecs:
            self._codecs.add(codec)
            await super().set_type_codec(typename, **how)  # type: ignore[misc]

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Give it back instead, if it is fit for another."""
        _used[self._dsn].discard(self)
        if not await self._made_new():
            await super().close(timeout=timeout)  # type: ignore[misc]

    async def _made_new(self) -> bool:
        mine: Any = self
        if self._codecs and self._kind is asyncpg.Connection:  # others expect to set their own
            return False
        if asyncio.get_running_loop() is not _loop:
            return False
        if mine.is_closed() or mine._cancellations or mine._top_xact is not None:
            return False
        if mine._protocol.is_in_transaction() or mine._protocol._is_cancelling():
            return False
        holder, mine._pool_holder = mine._pool_holder and mine._pool_holder(), None
        if holder is not None and holder._con is self:
            holder._release_on_close()
        try:
            await mine.reset(timeout=RESET_S)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        mine._termination_listeners.clear()
        mine._query_loggers.clear()
        _idle[self._dsn].append((self._opened_with, self))
        return True


@functools.cache
def _reused(kind: type[Any]) -> type[Any]:
    return type(f"Reused{kind.__name__}", (_Reused, kind), {})


async def connect(dsn: str | None = None, **how: Any) -> Any:
    """Return an idle connection that was opened in the same way, or open one."""
    kind = how.pop("connection_class", asyncpg.Connection)
    if dsn is None or asyncio.get_running_loop() is not _loop:
        return await connect_anew(dsn, connection_class=kind, **how)
    settings = dict(how.get("server_settings") or {})
    application = settings.pop(APPLICATION, "")
    opened_with = kind, str(sorted(settings.items())), str(sorted(_plain(how).items()))
    while (found := _pop_idle(dsn, opened_with)) is not None:
        if found.is_closed():
            continue
        try:
            await found.execute(f"SET {APPLICATION} = '{application}'")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            found.terminate()
            continue
        _used[dsn].add(found)
        return found
    made = await connect_anew(dsn, connection_class=_reused(kind), **how)
    made._dsn, made._kind, made._opened_with, made._codecs = dsn, kind, opened_with, set()
    _used[dsn].add(made)
    return made


def _plain(how: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in how.items() if name not in ("server_settings", "loop")}


def _pop_idle(dsn: str, opened_with: Hashable) -> Any | None:
    idle = _idle[dsn]
    for place, (how, connection) in enumerate(idle):
        if how == opened_with:
            del idle[place]
            return connection
    return None


def close_idle(dsn: str | None = None) -> None:
    """Close what is kept of a database, which is about to be dropped; without a DSN, of all."""
    for one in [dsn] if dsn else list(_idle):
        for _, connection in _idle.pop(one, ()):
            connection.terminate()


def close_used(dsn: str | None = None) -> None:
    """Close what a test has left open of a database; without a DSN, of all."""
    for one in [dsn] if dsn else list(_used):
        for connection in _used.pop(one, ()):
            connection.terminate()


def _create_pool(dsn: str | None = None, **how: Any) -> Any:
    return _new_pool(dsn, **{"connect": connect, **how})


_new_pool = asyncpg.create_pool
asyncpg.connect = connect
asyncpg.create_pool = _create_pool
