"""A worker with one promise broken, in place of gateway.cli.worker: the laboratory must detect it.

`python -m tests.faults.broken NAME PARENT FD` patches the product, then serves. The product itself
has no switch for any of this.
"""

from __future__ import annotations

import asyncio
import random
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.bus import Announcement
from gateway.chat import message_store
from gateway.chat.message_store import SendRequest
from gateway.chat.queries import messages as queries
from gateway.cli import worker
from gateway.delivery.delivery import Delivery
from gateway.delivery.streams import StreamReads, Streams
from gateway.protocol import Message

_later: set[asyncio.Task[None]] = set()


def no_sweep() -> None:
    """Positions are compared after the bus was away, and never else."""
    run = Streams.run

    async def never(self: Streams, reads: StreamReads, sweep_s: float) -> None:
        await run(self, reads, 1e9)

    Streams.run = never  # type: ignore[method-assign]


def no_resync() -> None:
    """The bus comes back, and nobody requests what was missed."""

    def nothing(self: Delivery) -> None: ...

    Delivery.resynced = nothing  # type: ignore[method-assign]


def early_ack() -> None:
    """A message is acknowledged, and announced, before the COMMIT."""

    async def store(requests: Sequence[SendRequest], *, wait: bool = False) -> list[Message | None]:
        done: asyncio.Future[list[Message | None]] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(_store_slowly(requests, done))
        _later.add(task)
        task.add_done_callback(_later.discard)
        return await done

    message_store._store = store


async def _store_slowly(
    requests: Sequence[SendRequest], done: asyncio.Future[list[Message | None]]
) -> None:
    ctx = requests[0].ctx
    try:
        async with ctx.transaction() as tx:
            found = await queries.insert(
                tx.conn, [one.message for one in requests], wait=len(requests) == 1
            )
            for request, stored in zip(requests, found, strict=True):
                if stored is not None:
                    await message_store._announce(tx, request.ctx.user_id, stored)
            ctx.services.publish(tx.announcements)
            tx.announcements.clear()
            done.set_result([stored and stored.message for stored in found])
            await asyncio.sleep(0.1)
    except Exception as error:  # noqa: BLE001 - it was acknowledged; nobody wants to know
        if not done.done():
            done.set_exception(error)


def no_key() -> None:
    """What is sent again is stored again."""
    insert = queries.insert

    async def forgetful(conn: Any, messages: Sequence[queries.NewMessage], *, wait: bool) -> Any:
        new = [replace(one, client_key=uuid.uuid4()) for one in messages]
        return await insert(conn, new, wait=wait)

    queries.insert = forgetful


def no_lock() -> None:
    """Numbers are taken without the row's lock: who took the later one may commit first."""

    async def store(requests: Sequence[SendRequest], *, wait: bool = False) -> list[Message | None]:
        return [await _store_unlocked(one) for one in requests]

    message_store._store = store


async def _store_unlocked(request: SendRequest) -> Message | None:
    new = request.message
    async with request.ctx.reading() as conn:
        taken = await conn.fetchrow(
            """
            -- broken.take_number
            UPDATE realtime.conversations AS c
               SET last_seq = c.last_seq + 1, last_change = c.last_change + 1,
                   last_message_at = clock_timestamp()
              FROM realtime.conversation_participants AS p
             WHERE c.id = $1 AND p.conversation_id = c.id AND p.employee_id = $2
               AND p.left_seq IS NULL
            RETURNING c.last_seq, c.last_change
            """,
            new.conversation_id,
            new.sender_id,
        )
    if taken is None:
        return None
    await asyncio.sleep(random.uniform(0.0, 0.3))
    async with request.ctx.statement() as tx:
        row = await tx.conn.fetchrow(
            """
            -- broken.insert
            INSERT INTO realtime.messages
                   (conversation_id, seq, change, sender_id, client_key, body, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp())
            RETURNING *, 0 AS reply_count, NULL AS reactions
            """,
            new.conversation_id,
            taken["last_seq"],
            taken["last_change"],
            new.sender_id,
            new.client_key,
            new.text,
        )
        message = queries.to_message(row)
        await message_store._announce(
            tx, new.sender_id, queries.StoredMessage(message, unmarked=False, draft=None)
        )
    return message


def no_gap_fill() -> None:
    """Whatever comes is delivered, whether or not something is missing before it."""

    def accept(self: Streams, conversation_id: int, announcement: Announcement) -> None:
        stream = self._streams.get(conversation_id)
        if stream is not None and (stream.position or 0) < announcement.change:
            stream.position = announcement.change
            self._deliver(announcement)

    Streams.accept = accept  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True)
class BrokenVariant:
    """A broken product, and a run that is aimed at it."""

    patch: Callable[[], None]
    kinds: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    """With which the whole product still keeps its promises."""


VARIANTS: dict[str, BrokenVariant] = {
    "no_sweep": BrokenVariant(no_sweep, ("redis_cut", "redis_stall")),
    "no_resync": BrokenVariant(
        no_resync, ("restart_redis", "kill_pubsub"), {"GATEWAY_SWEEP_S": "60"}
    ),
    "early_ack": BrokenVariant(early_ack, ("terminate_backends", "restart_postgres")),
    "no_key": BrokenVariant(no_key, ("client_mute",)),
    "no_lock": BrokenVariant(no_lock, ("kill_pubsub",)),
    "no_gap_fill": BrokenVariant(no_gap_fill, ("kill_pubsub", "redis_cut")),
}


def main(name: str, *given: str) -> None:
    VARIANTS[name].patch()
    worker.run(*given)


if __name__ == "__main__":
    main(*sys.argv[1:])
