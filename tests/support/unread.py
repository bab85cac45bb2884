"""Clients that ask over HTTP and do not read, on sockets that hold little themselves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

RECEIVED_BYTES = 4_096


class UnreadingClient:
    """A TCP connection from which nothing is read unless the test does."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def ask(self, path: str, *, token: str = "", times: int = 1) -> None:
        """Send GET requests, all in one write; they fit into the server's buffers."""
        said = f"Authorization: Bearer {token}\r\n" if token else ""
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{said}\r\n".encode()
        await asyncio.get_running_loop().sock_sendall(self.sock, request * times)

    async def read(self, size: int = 65_536) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, size)

    async def read_answers(self, count: int) -> list[bytes]:
        """Read so many whole answers; return their bodies."""
        bodies: list[bytes] = []
        data = b""
        while len(bodies) < count:
            head, found, rest = data.partition(b"\r\n\r\n")
            if found:
                lines = head.lower().split(b"\r\n")
                (size,) = [int(s[15:]) for s in lines if s.startswith(b"content-length:")]
                if len(rest) >= size:
                    bodies.append(rest[:size])
                    data = rest[size:]
                    continue
            more = await self.read()
            assert more, "the connection ended"
            data += more
        return bodies

    async def read_to_the_end(self) -> int:
        """Return how many bytes come until the server ends the connection."""
        size = 0
        try:
            while data := await self.read():
                size += len(data)
        except ConnectionError:
            pass
        return size


@contextmanager
def unread(port: int, count: int = 1) -> Iterator[list[UnreadingClient]]:
    """Give so many connections to a port of this machine."""
    opened = [socket.socket() for _ in range(count)]
    try:
        for sock in opened:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
        yield [UnreadingClient(sock) for sock in opened]
    finally:
        for sock in opened:
            sock.close()
