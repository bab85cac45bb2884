"""What all fake PBXs share: a server whose connections can be watched, sent to and cut."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

LONGEST_WAIT_S = 10.0


class AnyConnection(Protocol):
    """One connection of a gateway."""

    writer: asyncio.StreamWriter

    def disconnect(self) -> None: ...

    def answer(self, request: Any, /) -> bytes: ...


L = TypeVar("L", bound=AnyConnection)


class FakePbx(ABC, Generic[L]):
    """Listens on a port of its own; a context manager."""

    greeting: bytes

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.connections: list[L] = []
        """All connections there were, whether they signed in or not."""
        self.port = 0
        self.flood_data = b""
        self.flood_every_s = 0.0
        self._tls = tls
        self._ready: asyncio.Queue[L] = asyncio.Queue()
        self._serving: set[asyncio.Task[None]] = set()

    @abstractmethod
    def make_connection(self, writer: asyncio.StreamWriter) -> L:
        """Return an object for a new connection."""

    @abstractmethod
    def requests(self, reader: asyncio.StreamReader) -> AsyncIterator[Any]:
        """Yield what a gateway sends, until it closes the connection."""

    @abstractmethod
    def is_last(self, request: Any) -> bool:
        """Return whether this is the last request of a snapshot."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; again on the same port, if it was stopped."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and cut those there are."""
        self._server.close()
        for connection in self.connections:
            connection.disconnect()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def flood(self, connection: L) -> None:
        """Send the same event until the connection is cut: at once, or every `every_s`."""
        task = asyncio.create_task(self._flood(connection), name="flood")
        self._serving.add(task)

    async def _flood(self, connection: L) -> None:
        with contextlib.suppress(OSError):
            while not connection.writer.is_closing():
                connection.writer.write(self.flood_data)
                await connection.writer.drain()
                await asyncio.sleep(self.flood_every_s)

    async def next_connection(self) -> L:
        """Wait for the next connection that has signed in and requested a snapshot."""
        async with asyncio.timeout(LONGEST_WAIT_S):
            return await self._ready.get()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        connection = self.make_connection(writer)
        self.connections.append(connection)
        try:
            writer.write(self.greeting)
            async for request in self.requests(reader):
                writer.write(connection.answer(request))
                if self.is_last(request):
                    self._ready.put_nowait(connection)
        except OSError:
            pass
        finally:
            writer.transport.abort()
