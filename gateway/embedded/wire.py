"""The part of PostgreSQL's protocol that one query over a unix socket needs.

asyncpg needs an event loop, and a start is synchronous: it happens before there is one.
Format: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

PROTOCOL_3_0 = 196608


class QueryRefused(Exception):
    """The server returned an error."""


def query(path: Path, sql: str, *, user: str, database: str, timeout_s: float = 30.0) -> list[str]:
    """Return the first column; OSError without a server, QueryRefused on an error of its."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        parameters = b"".join(
            part.encode() + b"\0" for part in ("user", user, "database", database, "")
        )
        body = struct.pack("!i", PROTOCOL_3_0) + parameters
        connection.sendall(struct.pack("!i", len(body) + 4) + body)
        _until_ready(connection)
        statement = sql.encode() + b"\0"
        connection.sendall(b"Q" + struct.pack("!i", len(statement) + 4) + statement)
        return _until_ready(connection)


def _until_ready(connection: socket.socket) -> list[str]:
    values = []
    while True:
        kind, length = struct.unpack("!ci", _receive(connection, 5))
        body = _receive(connection, length - 4)
        if kind == b"E":
            raise QueryRefused(_error_text(body))
        if kind == b"R" and body[:4] != b"\0\0\0\0":
            raise QueryRefused("the server asks for a password")
        if kind == b"D":
            (size,) = struct.unpack("!i", body[2:6])
            values.append(body[6 : 6 + size].decode())
        if kind == b"Z":
            return values


def _receive(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionResetError("the server closed the connection")
        received += part
    return bytes(received)


def _error_text(body: bytes) -> str:
    fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
    return f"{fields.get(b'C', '')} {fields.get(b'M', '')}".strip()
