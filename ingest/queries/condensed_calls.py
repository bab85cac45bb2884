"""SQL for calls as they are shown: of each at most so many parts, however many it has.

Lists of calls, welcomes ─▶ load_condensed; pages of one call ─▶ page_of_legs, page_of_stints and
the others. model.call_parts says which parts are chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, TypeVar
from uuid import UUID

from ingest.conn import Conn
from ingest.model import parking_json
from ingest.model.call_parts import SHOWN, CondensedCall, PartCounts, PartLimits
from ingest.model.call_state import (
    CallState,
    LegState,
    ParkingState,
    RecordingState,
    StintState,
    TransferState,
)
from ingest.queries.sessions import CALL_COLUMNS

LEG_COLUMNS = """leg_key, extension, kind, status, ringing_at, answered_at, ended_at, ended_reason,
               talk_ms, overlap_ms, hold_ms, sip_call_id, placed, forwarded_from, shared"""
STINT_COLUMNS = "queue, entered_at, answered_at, left_at, outcome, wait_ms"
TRANSFER_COLUMNS = """kind, at, by_leg_key, by_extension, to_number, to_extension, queue,
               answered_at, consult_ms"""

Part = TypeVar("Part")
Parts = dict[UUID, tuple[int, list[Part]]]
"""Call → how many parts it has, and those that are shown, in their order."""


async def load_condensed(
    conn: Conn,
    call_ids: Sequence[UUID],
    *,
    limits: PartLimits = SHOWN,
    first: Collection[str] = (),
) -> dict[UUID, CondensedCall]:
    """Read calls as they are shown, without recordings; unknown ids are left out.

    The legs of the telephones in `first` come in addition to the limit.
    """
    rows = await conn.fetch(
        f"""
        -- condensed_calls.load_condensed
        SELECT {CALL_COLUMNS}, COALESCE(jsonb_array_length(parkings), 0) AS parked,
               jsonb_path_query_array(parkings, '$[last - $most to last]',
                                      jsonb_build_object('most', $2::int - 1))::text AS parkings
          FROM realtime.call_sessions
         WHERE id = ANY ($1::uuid[])
        """,  # noqa: S608 - ours
        call_ids,
        limits.others,
    )
    if not rows:
        return {}
    legs = await _legs(conn, call_ids, limits.legs + len(first), first)
    stints = await _stints(conn, call_ids, limits.others)
    moved = await _transfers(conn, call_ids, limits.others)
    return {row["id"]: _condensed(dict(row), legs, stints, moved) for row in rows}


def _condensed(
    fields: dict[str, Any],
    legs: Parts[LegState],
    stints: Parts[StintState],
    moved: Parts[TransferState],
) -> CondensedCall:
    parked = fields.pop("parked")
    parkings = parking_json.loads(fields.pop("parkings"))
    (all_legs, shown_legs), (all_stints, shown_stints), (all_moved, shown_moved) = (
        legs.get(fields["id"], (0, [])),
        stints.get(fields["id"], (0, [])),
        moved.get(fields["id"], (0, [])),
    )
    state = CallState(
        **fields,
        legs=tuple(shown_legs),
        stints=tuple(shown_stints),
        transfers=tuple(shown_moved),
        parkings=parkings,
    )
    left_out = PartCounts(
        legs=all_legs - len(shown_legs),
        stints=all_stints - len(shown_stints),
        transfers=all_moved - len(shown_moved),
        parkings=parked - len(parkings),
    )
    return CondensedCall(state=state, left_out=left_out)


async def _legs(
    conn: Conn, call_ids: Sequence[UUID], most: int, first: Collection[str]
) -> Parts[LegState]:
    rows = await conn.fetch(
        f"""
        -- condensed_calls.legs
        WITH leg AS (
            SELECT l.*, count(*) OVER (PARTITION BY l.call_id) AS total,
                   row_number() OVER (PARTITION BY l.call_id, l.extension
                                      ORDER BY l.status = 'ended', l.position DESC) = 1 AS latest,
                   l.extension IN (c.answered_extension, c.asked_extension, c.ended_by_extension)
                       AS named
              FROM realtime.call_legs AS l
              JOIN realtime.call_sessions AS c ON c.id = l.call_id
             WHERE l.call_id = ANY ($1::uuid[])
        )
        SELECT call_id, total, {LEG_COLUMNS}
          FROM (SELECT leg.*,
                       row_number() OVER (
                           PARTITION BY call_id
                           ORDER BY COALESCE(latest AND extension = ANY ($3::text[]), false) DESC,
                                    COALESCE(latest AND named, false) DESC,
                                    position = 0 DESC, status <> 'ended' DESC,
                                    answered_at IS NOT NULL DESC, position DESC) AS place
                  FROM leg) AS chosen
         WHERE place <= $2
         ORDER BY call_id, position
        """,  # noqa: S608 - ours
        call_ids,
        most,
        list(first),
    )
    return _parts(rows, LegState)


async def _stints(conn: Conn, call_ids: Sequence[UUID], most: int) -> Parts[StintState]:
    rows = await conn.fetch(
        f"""
        -- condensed_calls.stints
        SELECT call_id, total, {STINT_COLUMNS}
          FROM (SELECT s.*, count(*) OVER (PARTITION BY s.call_id) AS total,
                       row_number() OVER (PARTITION BY s.call_id
                                          ORDER BY s.left_at IS NOT NULL, s.position DESC) AS place
                  FROM realtime.queue_stints AS s
                 WHERE s.call_id = ANY ($1::uuid[])) AS chosen
         WHERE place <= $2
         ORDER BY call_id, position
        """,  # noqa: S608 - ours
        call_ids,
        most,
    )
    return _parts(rows, StintState)


async def _transfers(conn: Conn, call_ids: Sequence[UUID], most: int) -> Parts[TransferState]:
    rows = await conn.fetch(
        f"""
        -- condensed_calls.transfers
        SELECT call_id, total, {TRANSFER_COLUMNS}
          FROM (SELECT t.*, count(*) OVER (PARTITION BY t.call_id) AS total,
                       row_number() OVER (PARTITION BY t.call_id ORDER BY t.position DESC) AS place
                  FROM realtime.call_transfers AS t
                 WHERE t.call_id = ANY ($1::uuid[])) AS chosen
         WHERE place <= $2
         ORDER BY call_id, position
        """,  # noqa: S608 - ours
        call_ids,
        most,
    )
    return _parts(rows, TransferState)


def _parts(rows: Sequence[Any], kind: type[Part]) -> Parts[Part]:
    found: Parts[Part] = defaultdict(lambda: (0, []))
    for row in rows:
        fields = dict(row)
        call_id, total = fields.pop("call_id"), fields.pop("total")
        found[call_id] = total, found[call_id][1]
        found[call_id][1].append(kind(**fields))
    return dict(found)


# --- pages of one call's parts -------------------------------------------------------------


async def page_of_legs(conn: Conn, call_id: UUID, after: int, limit: int) -> list[LegState]:
    """Return the legs of a call after the first `after` ones."""
    rows = await conn.fetch(
        f"""
        -- condensed_calls.page_of_legs
        SELECT {LEG_COLUMNS}
          FROM realtime.call_legs
         WHERE call_id = $1
         ORDER BY position
        OFFSET $2
         LIMIT $3
        """,  # noqa: S608 - ours
        call_id,
        after,
        limit,
    )
    return [LegState(**row) for row in rows]


async def page_of_stints(conn: Conn, call_id: UUID, after: int, limit: int) -> list[StintState]:
    """Return the stints of a call after the first `after` ones."""
    rows = await conn.fetch(
        f"""
        -- condensed_calls.page_of_stints
        SELECT {STINT_COLUMNS}
          FROM realtime.queue_stints
         WHERE call_id = $1
         ORDER BY position
        OFFSET $2
         LIMIT $3
        """,  # noqa: S608 - ours
        call_id,
        after,
        limit,
    )
    return [StintState(**row) for row in rows]


async def page_of_transfers(
    conn: Conn, call_id: UUID, after: int, limit: int
) -> list[TransferState]:
    """Return the transfers of a call after the first `after` ones."""
    rows = await conn.fetch(
        f"""
        -- condensed_calls.page_of_transfers
        SELECT {TRANSFER_COLUMNS}
          FROM realtime.call_transfers
         WHERE call_id = $1
         ORDER BY position
        OFFSET $2
         LIMIT $3
        """,  # noqa: S608 - ours
        call_id,
        after,
        limit,
    )
    return [TransferState(**row) for row in rows]


async def page_of_parkings(conn: Conn, call_id: UUID, after: int, limit: int) -> list[ParkingState]:
    """Return the times of parking of a call after the first `after` ones."""
    text = await conn.fetchval(
        """
        -- condensed_calls.page_of_parkings
        SELECT jsonb_path_query_array(parkings, '$[$first to $last]',
                   jsonb_build_object('first', $2::int, 'last', $2::int + $3::int - 1))::text
          FROM realtime.call_sessions
         WHERE id = $1
        """,
        call_id,
        after,
        limit,
    )
    return list(parking_json.loads(text))


async def page_of_recordings(
    conn: Conn, call_id: UUID, after: int, limit: int
) -> list[RecordingState]:
    """Return the recordings of a call after the first `after` ones."""
    rows = await conn.fetch(
        """
        -- condensed_calls.page_of_recordings
        SELECT id, recording, leg_key, extension, state, started_at, stopped_at, duration_ms,
               channels, url
          FROM realtime.call_recordings
         WHERE call_id = $1
         ORDER BY started_at, id
        OFFSET $2
         LIMIT $3
        """,
        call_id,
        after,
        limit,
    )
    return [RecordingState(**{**row, "id": UUID(int=row["id"].int)}) for row in rows]


async def count_recordings(conn: Conn, call_id: UUID) -> int:
    """Return how many recordings a call has."""
    counted: int = await conn.fetchval(
        """
        -- condensed_calls.count_recordings
        SELECT count(*) FROM realtime.call_recordings WHERE call_id = $1
        """,
        call_id,
    )
    return counted
