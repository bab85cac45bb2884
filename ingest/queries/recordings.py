"""SQL for recordings of calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from ingest.conn import Conn
from ingest.model.call_state import RecordingState


async def load(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, list[RecordingState]]:
    """Read the recordings of each call, in the order of their beginning."""
    rows = await conn.fetch(
        """
        -- recordings.load
        SELECT call_id, id, recording, leg_key, extension, state, started_at, stopped_at,
               duration_ms, channels, url
          FROM realtime.call_recordings
         WHERE call_id = ANY ($1::uuid[])
         ORDER BY call_id, started_at, id
        """,
        call_ids,
    )
    found: dict[UUID, list[RecordingState]] = defaultdict(list)
    for row in rows:
        fields = dict(row)
        fields["id"] = UUID(int=row["id"].int)  # asyncpg's own kind, which orjson refuses
        found[fields.pop("call_id")].append(RecordingState(**fields))
    return found


async def save(conn: Conn, recordings: Iterable[tuple[UUID, RecordingState]]) -> None:
    await conn.executemany(
        """
        -- recordings.save
        INSERT INTO realtime.call_recordings
               (call_id, id, recording, leg_key, extension, state, started_at, stopped_at,
                duration_ms, channels, url)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT (call_id, id) DO UPDATE
           SET leg_key = excluded.leg_key, extension = excluded.extension, state = excluded.state,
               started_at = excluded.started_at, stopped_at = excluded.stopped_at,
               duration_ms = excluded.duration_ms, channels = excluded.channels, url = excluded.url
        """,
        [
            (call_id, r.id, r.recording, r.leg_key, r.extension, r.state, r.started_at,
             r.stopped_at, r.duration_ms, r.channels, r.url)
            for call_id, r in recordings
        ],
    )  # fmt: skip


async def delete(conn: Conn, recordings: Iterable[tuple[UUID, UUID]]) -> None:
    """Delete recordings that moved to another call, or that do not exist any more."""
    await conn.executemany(
        """
        -- recordings.delete
        DELETE FROM realtime.call_recordings WHERE call_id = $1 AND id = $2
        """,
        list(recordings),
    )
