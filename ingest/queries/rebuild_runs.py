"""SQL for the rebuilds that have not ended: where each goes on, and what it has counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ingest.conn import Conn
from ingest.model.rebuild_progress import RebuildProgress


@dataclass(frozen=True, slots=True)
class CallSelection:
    """The calls to rebuild: began in [since, until), of this PBX; None: no limit."""

    since: datetime | None
    until: datetime | None
    source: str | None

    def has(self, began: datetime) -> bool:
        """Return whether a call that began then is to be rebuilt."""
        return not (
            (self.since is not None and began < self.since)
            or (self.until is not None and began >= self.until)
        )


@dataclass(frozen=True, slots=True)
class RebuildRun:
    run_id: UUID
    began_at: datetime


async def forget(conn: Conn, selection: CallSelection, *, unless_rules: str | None) -> None:
    """Delete the unfinished rebuild of this selection, unless it folds with these rules."""
    await conn.execute(
        """
        -- rebuild_runs.forget
        DELETE FROM realtime.call_rebuilds
         WHERE since = coalesce($1::timestamptz, '-infinity')
           AND until = coalesce($2::timestamptz, 'infinity')
           AND source = coalesce($3::text, '')
           AND rules IS DISTINCT FROM $4::text
        """,
        selection.since,
        selection.until,
        selection.source,
        unless_rules,
    )


async def find(conn: Conn, selection: CallSelection) -> RebuildRun | None:
    """Return the unfinished rebuild of this selection."""
    row = await conn.fetchrow(
        """
        -- rebuild_runs.find
        SELECT id, began_at
          FROM realtime.call_rebuilds
         WHERE since = coalesce($1::timestamptz, '-infinity')
           AND until = coalesce($2::timestamptz, 'infinity')
           AND source = coalesce($3::text, '')
        """,
        selection.since,
        selection.until,
        selection.source,
    )
    return RebuildRun(row["id"], row["began_at"]) if row else None


async def add(conn: Conn, selection: CallSelection, rules: str) -> None:
    """Count the calls of this selection, and begin; nothing if another process has just begun."""
    await conn.execute(
        """
        -- rebuild_runs.add
        INSERT INTO realtime.call_rebuilds (since, until, source, rules, total)
        SELECT coalesce($1::timestamptz, '-infinity'), coalesce($2::timestamptz, 'infinity'),
               coalesce($3::text, ''), $4, count(*)
          FROM realtime.call_sessions
         WHERE started_at >= coalesce($1::timestamptz, '-infinity')
           AND started_at < coalesce($2::timestamptz, 'infinity')
           AND ($3::text IS NULL OR source = $3)
           AND merged_into IS NULL
            ON CONFLICT DO NOTHING
        """,
        selection.since,
        selection.until,
        selection.source,
        rules,
    )


async def lock(conn: Conn, run_id: UUID) -> RebuildProgress | None:
    """Read the progress, and let no other process go on before the end of this transaction.

    None: the rebuild has ended, or another one has taken its place.
    """
    row = await conn.fetchrow(
        """
        -- rebuild_runs.lock
        SELECT stage, done, total, examined, changed, restored, telephones, skipped, after_time,
               after_call, after_source, after_extension
          FROM realtime.call_rebuilds
         WHERE id = $1
           FOR UPDATE
        """,
        run_id,
    )
    return RebuildProgress(**dict(row)) if row else None


async def save(conn: Conn, run_id: UUID, progress: RebuildProgress) -> None:
    """Store the progress in the transaction that has made it."""
    await conn.execute(
        """
        -- rebuild_runs.save
        UPDATE realtime.call_rebuilds
           SET stage = $2, done = $3, examined = $4, changed = $5, restored = $6, telephones = $7,
               skipped = $8, after_time = $9, after_call = $10, after_source = $11,
               after_extension = $12
         WHERE id = $1
        """,
        run_id,
        progress.stage,
        progress.done,
        progress.examined,
        progress.changed,
        progress.restored,
        progress.telephones,
        progress.skipped,
        progress.after_time,
        progress.after_call,
        progress.after_source,
        progress.after_extension,
    )


async def end(conn: Conn, run_id: UUID) -> None:
    """Delete the row: the same selection begins anew the next time."""
    await conn.execute(
        """
        -- rebuild_runs.end
        DELETE FROM realtime.call_rebuilds WHERE id = $1
        """,
        run_id,
    )
