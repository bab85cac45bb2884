"""What programs of the CRM do in conversations over HTTP: by the functions that it calls in SQL.

rest/by_system.py ─▶ here ─▶ realtime.open_conversation and its like. The functions only write; the
nodes are told here that there is something to read, and do not wait for their sweeps.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from gateway import topics
from gateway.audit import Origin
from gateway.auth import ServiceAccount
from gateway.bus import Announcement
from gateway.chat.queries import by_system as queries
from gateway.chat.queries.by_system import Numbered, Opened, SystemMessage
from gateway.context import Services
from gateway.db import Conn
from gateway.errors import GatewayError, Invalid, catalogue
from gateway.topics import UNANNOUNCED

_BY_CODE = {error.code: error for error in catalogue()}


async def open_conversation(
    services: Services,
    *,
    kind: str,
    title: str | None,
    employee_ids: Sequence[int],
    external_key: str | None,
    created_by: int | None,
) -> Opened:
    """Open a conversation; the same key again returns the same one."""
    async with _calling(services) as conn:
        opened = await queries.open_conversation(
            conn,
            kind=kind,
            title=title,
            employee_ids=employee_ids,
            external_key=external_key,
            created_by=created_by,
        )
    if opened.created:
        services.publish([_news()])
    return opened


async def add_participants(
    services: Services, conversation_id: int, employee_ids: Sequence[int], *, by_id: int | None
) -> list[int]:
    """Add employees; return those who were not in it."""
    async with _calling(services) as conn:
        joined = await queries.add_participants(conn, conversation_id, employee_ids, by_id=by_id)
    if joined:
        services.publish([_unannounced(conversation_id), _news()])
    return joined


async def remove_participants(
    services: Services,
    conversation_id: int,
    employee_ids: Sequence[int],
    *,
    by_id: int | None,
    account: ServiceAccount,
    origin: Origin,
) -> list[int]:
    """Remove employees; return those who were in it."""
    noted = {
        "source": origin.source, "request_id": origin.request_id, "service": account.name,
    }  # fmt: skip
    async with _calling(services) as conn:
        removed = await queries.remove_participants(
            conn, conversation_id, employee_ids, by_id=by_id, origin=noted
        )
    if removed:
        services.publish([_unannounced(conversation_id), _news()])
    return removed


async def send_message(services: Services, message: SystemMessage) -> Numbered:
    """Send a message of the system; a repeated client_key returns the first one's place."""
    async with _calling(services) as conn:
        sent = await queries.send_message(conn, message)
    services.publish([_unannounced(message.conversation_id)])
    return sent


@asynccontextmanager
async def _calling(services: Services) -> AsyncIterator[Conn]:
    """Lend a connection; what a function refuses becomes the error with its code."""
    async with services.connection() as conn:
        try:
            yield conn
        except asyncpg.PostgresError as error:
            refusal = _BY_CODE.get(error.detail or "")
            if refusal is None or not (error.sqlstate or "").startswith("RT"):
                raise
            raise _made(refusal, str(error.message), error.hint) from None


def _made(refusal: type[GatewayError], message: str, hint: str | None) -> GatewayError:
    return Invalid(message, path=hint) if refusal is Invalid else refusal(message)


def _unannounced(conversation_id: int) -> Announcement:
    return Announcement(topics.conversation(conversation_id), UNANNOUNCED, b"{}")


def _news() -> Announcement:
    return Announcement(topics.NEWS, "news.written", b"{}")
