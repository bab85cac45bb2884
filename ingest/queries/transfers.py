"""SQL for transfers of calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from ingest.conn import Conn
from ingest.model.call_state import CallState, TransferState


async def load(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, list[TransferState]]:
    """Read the transfers of each call, in their order."""
    rows = await conn.fetch(
        """
        -- transfers.load
        SELECT call_id, kind, at, by_leg_key, by_extension, to_number, to_extension, queue,
               answered_at, consult_ms
          FROM realtime.call_transfers
         WHERE call_id = ANY ($1::uuid[])
         ORDER BY call_id, position
        """,
        call_ids,
    )
    found: dict[UUID, list[TransferState]] = defaultdict(list)
    for row in rows:
        fields = dict(row)
        found[fields.pop("call_id")].append(TransferState(**fields))
    return found


async def save(conn: Conn, transfers: Iterable[tuple[CallState, int, TransferState]]) -> None:
    await conn.executemany(
        """
        -- transfers.save
        INSERT INTO realtime.call_transfers
               (call_id, position, kind, at, by_leg_key, by_extension, to_number, to_extension,
                queue, answered_at, consult_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT (call_id, position) DO UPDATE
           SET kind = excluded.kind, at = excluded.at, by_leg_key = excluded.by_leg_key,
               by_extension = excluded.by_extension, to_number = excluded.to_number,
               to_extension = excluded.to_extension, queue = excluded.queue,
               answered_at = excluded.answered_at, consult_ms = excluded.consult_ms
        """,
        [
            (call.id, position, t.kind, t.at, t.by_leg_key, t.by_extension, t.to_number,
             t.to_extension, t.queue, t.answered_at, t.consult_ms)
            for call, position, t in transfers
        ],
    )  # fmt: skip


async def delete(conn: Conn, beyond: Iterable[tuple[UUID, int]]) -> None:
    """Delete the transfers of a call from a position on."""
    await conn.executemany(
        """
        -- transfers.delete
        DELETE FROM realtime.call_transfers WHERE call_id = $1 AND position >= $2
        """,
        list(beyond),
    )
