"""A network that can fail: each connection passes through this proxy.

client ─▶ Proxy ─▶ server (TCP, or a unix socket). One instance is one network path: from the
clients to a worker, or from a worker to its Redis or PostgreSQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of nothing: closing sends RST."""
Mode = Literal["open", "delay", "stall", "cut", "blackhole", "mute"]


@dataclass(eq=False, slots=True)
class ProxyLink:
    """One connection through it."""

    writers: list[asyncio.StreamWriter]
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: nothing passes any more, as behind a router that lost the connection's state."""
    mute: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: nothing comes back any more, while data still arrives in the other direction."""

    def reset(self) -> None:
        for writer in self.writers:
            if (raw := writer.get_extra_info("socket")) is not None:
                with contextlib.suppress(OSError, ValueError):  # it is closed already
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class Proxy:
    """Listens, and connects each caller to the target, well or badly."""

    def __init__(self, target: int | Path, *, host: str = "127.0.0.1") -> None:
        self.target = target
        """A port of this machine, or a unix socket."""
        self.host = host
        self.touched = 0
        """How many pieces of data and connections felt that it was not open."""
        self._mode: Mode = "open"
        self._delay_s = 0.0
        self._moving = asyncio.Event()
        self._moving.set()
        self._links: set[ProxyLink] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    # --- how bad it is ---------------------------------------------------------------------

    def set(self, mode: Mode, *, delay_s: float = 0.3) -> None:
        """Be like this from now on; what fell silent before stays so."""
        self._mode, self._delay_s = mode, delay_s if mode == "delay" else 0.0
        if mode == "stall":
            self._moving.clear()
        else:
            self._moving.set()
        if mode in {"cut", "blackhole", "mute"}:
            self.touched += len(self._links)
        for link in list(self._links):
            if mode == "cut":
                link.reset()
            elif mode == "blackhole":
                link.silent.set()
            elif mode == "mute":
                link.mute.set()

    # --- life ------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, 0, backlog=1_024)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = ProxyLink([writer])
        self._links.add(link)
        try:
            await self._serve(link, reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # one end has gone, or all of this has
        finally:
            link.reset()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _serve(
        self, link: ProxyLink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._mode == "cut":
            self.touched += 1
            return
        if self._mode == "blackhole":
            link.silent.set()
        if self._mode == "mute":
            link.mute.set()
        far_reader, far_writer = await self._dial()
        link.writers.append(far_writer)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(link, link.silent, reader, far_writer))
            group.create_task(self._pump(link, link.mute, far_reader, writer))

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, Path):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def _pump(
        self,
        link: ProxyLink,
        gone: asyncio.Event,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        try:
            while data := await reader.read(CHUNK):
                if self._delay_s:
                    self.touched += 1
                    await asyncio.sleep(self._delay_s)
                if not self._moving.is_set():
                    self.touched += 1
                    await self._moving.wait()
                if link.silent.is_set() or gone.is_set():
                    self.touched += 1
                    continue
                writer.write(data)
                await writer.drain()
        except (OSError, RuntimeError):
            pass  # uvloop's word for a transport that is closed is RuntimeError
        if not (link.silent.is_set() or gone.is_set()):  # a goodbye does not pass, either
            link.reset() if reader.exception() else _end(link)


def _end(link: ProxyLink) -> None:
    """Close both directions after what was sent."""
    for writer in link.writers:
        writer.close()
