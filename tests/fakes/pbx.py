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


class AnyLine(Protocol):
    """One connection of a gateway."""

    writer: asyncio.StreamWriter

    def hang_up(self) -> None: ...

    def answer(self, asked: Any, /) -> bytes: ...


L = TypeVar("L", bound=AnyLine)


class FakePbx(ABC, Generic[L]):
    """Listens on a port of its own; a context manager."""

    greeting: bytes

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.lines: list[L] = []
        """All connections there were, whether they signed in or not."""
        self.port = 0
        self.talk = b""
        self.talks_every_s = 0.0
        self._tls = tls
        self._ready: asyncio.Queue[L] = asyncio.Queue()
        self._serving: set[asyncio.Task[None]] = set()

    @abstractmethod
    def make_line(self, writer: asyncio.StreamWriter) -> L:
        """Return an object for a new connection."""

    @abstractmethod
    def questions(self, reader: asyncio.StreamReader) -> AsyncIterator[Any]:
        """Yield what a gateway sends, until it closes the connection."""

    @abstractmethod
    def is_last(self, asked: Any) -> bool:
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
        for line in self.lines:
            line.hang_up()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def chatter(self, line: L) -> None:
        """Send the same event until the connection is cut: at once, or every `every_s`."""
        task = asyncio.create_task(self._chatter(line), name="chatter")
        self._serving.add(task)

    async def _chatter(self, line: L) -> None:
        with contextlib.suppress(OSError):
            while not line.writer.is_closing():
                line.writer.write(self.talk)
                await line.writer.drain()
                await asyncio.sleep(self.talks_every_s)

    async def line(self) -> L:
        """Wait for the next connection that has signed in and requested a snapshot."""
        async with asyncio.timeout(LONGEST_WAIT_S):
            return await self._ready.get()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        line = self.make_line(writer)
        self.lines.append(line)
        try:
            writer.write(self.greeting)
            async for asked in self.questions(reader):
                writer.write(line.answer(asked))
                if self.is_last(asked):
                    self._ready.put_nowait(line)
        except OSError:
            pass
        finally:
            writer.transport.abort()
