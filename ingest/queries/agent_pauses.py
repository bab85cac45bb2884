"""SQL for logins and pauses of agents: the events of a telephone, and its marks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import orjson

from ingest.conn import Conn
from ingest.model.agent_mark import AgentMark, Telephone
from ingest.model.events import CallEvent


async def load(
    conn: Conn, telephones: Sequence[Telephone]
) -> dict[Telephone, dict[str, AgentMark]]:
    """Return telephone → queue → mark."""
    rows = await conn.fetch(
        """
        -- agent_pauses.load
        SELECT m.source, m.extension, m.queue, m.logged_in, m.login_at, m.paused, m.reason,
               m.paused_at
          FROM realtime.agent_marks AS m
          JOIN unnest($1::text[], $2::text[]) AS given (source, extension)
         USING (source, extension)
        """,
        [source for source, _ in telephones],
        [extension for _, extension in telephones],
    )
    found: dict[Telephone, dict[str, AgentMark]] = defaultdict(dict)
    for row in rows:
        fields = dict(row)
        telephone = fields.pop("source"), fields.pop("extension")
        found[telephone][fields["queue"]] = AgentMark(telephone=telephone, **fields)
    return found


async def of_source(conn: Conn, source: str) -> dict[tuple[str, str], AgentMark]:
    """Return (extension, queue) → mark, for all telephones of a PBX in its queues."""
    rows = await conn.fetch(
        """
        -- agent_pauses.of_source
        SELECT extension, queue, logged_in, login_at, paused, reason, paused_at
          FROM realtime.agent_marks
         WHERE source = $1 AND queue <> ''
        """,
        source,
    )
    found = {}
    for row in rows:
        fields = dict(row)
        extension = fields.pop("extension")
        mark = AgentMark(telephone=(source, extension), **fields)
        found[extension, mark.queue] = mark
    return found


async def events(
    conn: Conn, telephones: Mapping[Telephone, int]
) -> dict[Telephone, list[CallEvent]]:
    """Return the newest agent.* events of each telephone, as many as given for it."""
    rows = await conn.fetch(
        """
        -- agent_pauses.events
        SELECT e.source, e.event_id, e.type, e.occurred_at, e.queue, e.extension,
               e.attrs::text AS attrs, e.told
          FROM unnest($1::text[], $2::text[], $3::int[]) AS given (source, extension, newest)
         CROSS JOIN LATERAL (
               SELECT * FROM realtime.call_events AS e
                WHERE e.source = given.source AND e.extension = given.extension
                  AND e.type IN ('agent.paused', 'agent.unpaused', 'agent.login', 'agent.logoff')
                ORDER BY e.occurred_at DESC, e.told DESC NULLS LAST
                LIMIT given.newest) AS e
        """,
        [source for source, _ in telephones],
        [extension for _, extension in telephones],
        list(telephones.values()),
    )
    found: dict[Telephone, list[CallEvent]] = defaultdict(list)
    for row in rows:
        event = CallEvent(**{**dict(row), "attrs": orjson.loads(row["attrs"])})
        found[row["source"], row["extension"]].append(event)
    return found


async def telephones(conn: Conn, *, after: Telephone, limit: int) -> list[Telephone]:
    """Return the next telephones with stored agent.* events, ordered by PBX and extension."""
    rows = await conn.fetch(
        """
        -- agent_pauses.telephones
        WITH RECURSIVE found AS (
            (SELECT e.source, e.extension, 1 AS place
               FROM realtime.call_events AS e
              WHERE (e.source, e.extension) > ($1, $2) AND e.extension IS NOT NULL
                AND e.type IN ('agent.paused', 'agent.unpaused', 'agent.login', 'agent.logoff')
              ORDER BY e.source, e.extension
              LIMIT 1)
          UNION ALL
            SELECT next.source, next.extension, found.place + 1
              FROM found
             CROSS JOIN LATERAL (
                   SELECT e.source, e.extension
                     FROM realtime.call_events AS e
                    WHERE (e.source, e.extension) > (found.source, found.extension)
                      AND e.extension IS NOT NULL
                      AND e.type IN ('agent.paused', 'agent.unpaused', 'agent.login',
                                     'agent.logoff')
                    ORDER BY e.source, e.extension
                    LIMIT 1) AS next
             WHERE found.place < $3
        )
        SELECT source, extension FROM found ORDER BY source, extension
        """,
        *after,
        limit,
    )
    return [(row["source"], row["extension"]) for row in rows]


async def save(conn: Conn, marks: Iterable[AgentMark]) -> None:
    """Write the current marks."""
    await conn.executemany(
        """
        -- agent_pauses.save
        INSERT INTO realtime.agent_marks AS m
               (source, extension, queue, logged_in, login_at, paused, reason, paused_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (source, extension, queue) DO UPDATE
           SET logged_in = excluded.logged_in, login_at = excluded.login_at,
               paused = excluded.paused, reason = excluded.reason,
               paused_at = excluded.paused_at, version = m.version + 1, updated_at = now()
        """,
        [
            (*m.telephone, m.queue, m.logged_in, m.login_at, m.paused, m.reason, m.paused_at)
            for m in marks
        ],
    )
