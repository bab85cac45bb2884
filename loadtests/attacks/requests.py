"""Attacks over HTTP: endless questions, answers that nobody reads, many uploads by one link."""

from __future__ import annotations

import asyncio
import itertools
import select
import socket
import time
from contextlib import suppress

import orjson

from loadtests.attacks.plan import AttackPlan, AttackTally

AT_ONCE = 8
PAGES = 100
KEPT_S = 1.0
"""For which pages are left unread, before others are asked for."""
KERNEL_BYTES = 4_096
UPLOADS = 30
FILE_BYTES = 20 << 20
PIECE = b"a" * (64 << 10)


async def openapi(plan: AttackPlan, tally: AttackTally, started: asyncio.Event) -> None:
    """Ask for /openapi.json without a token, as fast as it comes."""
    started.set()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(_ask_without_end(plan, tally))


async def _ask_without_end(plan: AttackPlan, tally: AttackTally) -> None:
    while True:
        with suppress(OSError, EOFError):
            reader, writer = await asyncio.open_connection("127.0.0.1", plan.port)
            while True:
                writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n")
                status, _ = await _answer(reader)
                tally.done += status == 200
                tally.refused += status != 200


async def unread_pages(plan: AttackPlan, tally: AttackTally, started: asyncio.Event) -> None:
    """Ask for pages of long messages on a hundred connections, and read none of them."""
    started.set()
    while True:
        lines = []
        for number in range(PAGES):
            line = socket.socket()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
            line.connect(("127.0.0.1", plan.port))
            token = plan.tokens[number % len(plan.tokens)]
            line.sendall(
                f"GET /v1/messenger/conversations/{plan.conversation_id}/messages?limit=100"
                f" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
            )
            lines.append(line)
        await asyncio.sleep(KEPT_S)
        poll = select.poll()
        for line in lines:
            poll.register(line, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        tally.refused += len(poll.poll(0))
        tally.done += PAGES - len(poll.poll(0))
        for line in lines:
            line.close()


async def uploads(plan: AttackPlan, tally: AttackTally, started: asyncio.Event) -> None:
    """Declare one file, and send it by thirty requests at once; then the next one.

    Of several employees, because one may not have many files that are in no message.
    """
    started.set()
    for token in itertools.cycle(plan.tokens):
        path = await _declared(plan, token)
        if path is None:
            tally.refused += 1
            await asyncio.sleep(0.2)
            continue
        statuses = await asyncio.gather(*(_put(plan, path) for _ in range(UPLOADS)))
        tally.done += sum(status in {200, 201, 204} for status in statuses)
        tally.refused += sum(status not in {200, 201, 204} for status in statuses)


async def _declared(plan: AttackPlan, token: str) -> str | None:
    body = orjson.dumps({"name": "a.txt", "content_type": "text/plain", "size": FILE_BYTES})
    reader, writer = await asyncio.open_connection("127.0.0.1", plan.port)
    writer.write(
        f"POST /v1/messenger/conversations/{plan.conversation_id}/attachments HTTP/1.1\r\nHost: a"
        f"\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    status, text = await _answer(reader)
    writer.close()
    return orjson.loads(text)["upload"]["url"] if status == 201 else None


async def _put(plan: AttackPlan, path: str) -> int:
    """Send the whole file; return the status, 0 when the connection was cut."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", plan.port)
        writer.write(
            f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {FILE_BYTES}\r\n\r\n".encode()
        )
        sending = asyncio.create_task(_send_file(writer))
        try:
            status, _ = await _answer(reader)
        finally:
            sending.cancel()
            writer.close()
    except (OSError, EOFError):
        return 0
    return status


async def _send_file(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        for _ in range(FILE_BYTES // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer with a Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, size = int(head.split(maxsplit=2)[1]), 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            size = int(line.split(b":")[1])
    return status, await reader.readexactly(size)


async def busy(plan: AttackPlan, _tally: AttackTally, started: asyncio.Event) -> None:
    """Attack nothing, and take as much of a core as an attacker did: what is to be compared."""
    started.set()
    own_s, began = time.process_time(), time.perf_counter()
    while True:
        if time.process_time() - own_s < plan.share * (time.perf_counter() - began):
            sum(range(20_000))
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(0.001)
