"""Publishers of the CRM, and relays on one database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg

from gateway.bus import Announcement
from gateway.client import Connection
from gateway.db import Conn
from gateway.events.event import RelayedEvent
from gateway.events.relay import Relay
from gateway.protocol import EventPublished, TopicWatch
from tests.support.desk import SUBJECTS, Desk
from tests.support.job_tools import Jobs
from tests.support.text_crm import TEXT_CRM, uuid_of

NAMED = "type, users, topics, payload, key, deliver_at, notify, source"
TYPES = {
    "type": "text", "users": "bigint[]", "topics": "text[]", "payload": "jsonb", "key": "text",
    "deliver_at": "timestamptz", "notify": "jsonb", "source": "text",
}  # fmt: skip


async def publish(conn: Any, event_type: str = "work_order.assigned", **arguments: Any) -> int:
    """Publish as the CRM does, arguments by name; JSON may be given as text."""
    given = {"type": event_type, **arguments}
    for name in ("payload", "notify"):
        if name in given and not isinstance(given[name], str | None):
            given[name] = json.dumps(given[name])
    as_text = {"jsonb": "text::jsonb"}
    named = ", ".join(
        f"{name} => ${number}::{as_text.get(TYPES[name], TYPES[name])}"
        for number, name in enumerate(given, 1)
    )
    found: int = await conn.fetchval(f"SELECT realtime.publish({named})", *given.values())
    return found


def relay_of(
    jobs: Jobs,
    announced: list[Announcement] | None = None,
    *,
    connect: Callable[[], AbstractAsyncContextManager[Conn]] | None = None,
    poll_s: float = 0.02,
) -> Relay:
    """Return a relay that adds what it announces to a list."""
    told = [] if announced is None else announced
    return Relay(connect or jobs.connect, told.extend, poll_s=poll_s)


async def relay_all(jobs: Jobs) -> list[RelayedEvent]:
    """Relay all that is due; return it in its order."""
    relay, found = relay_of(jobs), list[RelayedEvent]()
    while some := await relay.round():
        found += some
    return found


async def log_of(jobs: Jobs) -> list[Any]:
    """Return the rows of realtime.events in their order."""
    return await jobs.sql("SELECT * FROM realtime.events ORDER BY position")


@asynccontextmanager
async def publishers(dsn: str, count: int) -> AsyncIterator[list[Any]]:
    """Give connections of the CRM."""
    conns = await asyncio.gather(*(asyncpg.connect(dsn) for _ in range(count)))
    try:
        yield conns
    finally:
        for conn in conns:
            conn.terminate()


def lead(number: int) -> str:
    """Return the topic of a lead of the CRM that the tests run on."""
    return f"crm:lead:{uuid_of('lead', number) if TEXT_CRM else number}"


async def assign(desk: Desk, number: int, employee_id: int | None) -> None:
    """Let an employee, or nobody, work on a lead: the view crm.topic_readers follows."""
    if TEXT_CRM:
        owner = SUBJECTS[employee_id] if employee_id else None
        change = 'UPDATE "Deal" SET "ownerId" = $2 WHERE "id" = $1'
        await desk.sql(change, uuid_of("lead", number), owner)
    else:
        change = "UPDATE demo_crm.leads SET manager_id = $2 WHERE id = $1"
        await desk.sql(change, number, employee_id)


async def publish_at(desk: Desk, event_type: str = "lead.changed", **arguments: Any) -> int:
    """Publish as the CRM does, in a transaction of its own."""
    conn = await asyncpg.connect(desk.database)
    try:
        return await publish(conn, event_type, **arguments)
    finally:
        await conn.close()


async def heard(client: Connection) -> EventPublished:
    found: EventPublished = await client.next(EventPublished)
    return found


async def watch(client: Connection, *topics: str) -> Any:
    return await client.request(TopicWatch(topics=list(topics)))


async def until_heard(client: Connection, event_id: int) -> list[EventPublished]:
    """Return the events up to this one."""
    found = [await heard(client)]
    while found[-1].event.id != event_id:
        found.append(await heard(client))
    return found
