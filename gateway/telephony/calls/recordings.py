"""Recordings of a call, for those who may hear them; every link that is given is noted.

rest ─▶ hand_out ─▶ access, ingest's state, the audit. The gateway hands out where a recording is
and never the sound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote
from uuid import UUID

from gateway.auth.permissions import CALLS_REVIEW, RECORDINGS_LISTEN
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import RecordingNotFound, RecordingNotReady
from gateway.protocol.recordings import CallRecording, RecordingLink
from gateway.telephony.calls.access import require_call
from gateway.telephony.calls.queries import audit, lookup
from gateway.telephony.quality.queries import reviews
from ingest import CallState, RecordingState, load_calls

LISTENERS = frozenset((RECORDINGS_LISTEN, CALLS_REVIEW))
"""Either one is enough to hear the recordings of calls that one may see."""

Templates = Mapping[str, str]
"""PBX → its setting recordings_url."""


async def may_listen(ctx: Context, conn: Conn, call_id: UUID) -> bool:
    """Say whether recordings of a call that was seen may be heard, too.

    Whoever a published review of this call is about may: they could not dispute it otherwise.
    """
    if LISTENERS & ctx.identity.permissions:
        return True
    return await reviews.is_about(conn, call_id, ctx.user_id)


async def list_recordings(
    ctx: Context, conn: Conn, call: CallState, templates: Templates
) -> list[CallRecording]:
    """Return the recordings of a call that was seen; none to those who may not hear them."""
    if not call.recordings or not await may_listen(ctx, conn, call.id):
        return []
    return await _to_wire(conn, call, call.recordings, templates)


async def issue_link(
    ctx: Context, call_id: UUID, recording_id: UUID, templates: Templates
) -> RecordingLink:
    """Say where a recording is, and note who asked."""
    async with ctx.transaction() as tx:
        now = await require_call(ctx, tx.conn, call_id)
        call = (await load_calls(tx.conn, [now])).get(now)
        found = next((r for r in call.recordings if r.id == recording_id), None) if call else None
        if call is None or found is None or not await may_listen(ctx, tx.conn, now):
            raise RecordingNotFound
        url = recording_url(found, templates.get(call.source))
        if url is None:
            raise RecordingNotReady
        (shown,) = await _to_wire(tx.conn, call, [found], templates)
        await audit.record(
            tx.conn,
            "recording.listen",
            actor_id=ctx.user_id,
            details={"call_id": str(now), "recording_id": str(recording_id)},
        )
    return RecordingLink(recording=shown, url=url)


def recording_url(recording: RecordingState, template: str | None) -> str | None:
    """Return the URL of a recording; of one with a path, by the template of its PBX."""
    place = recording.url
    if recording.state != "ready" or place is None:
        return None
    if re.match("https?://", place, re.IGNORECASE):
        return place
    if template is None:
        return None
    path = place.replace("\\", "/").lstrip("/")
    parts = {
        "path": quote(path, safe="/"),
        "name": quote(path.rpartition("/")[2], safe=""),
        "id": quote(recording.recording, safe=""),
    }
    return re.sub(r"\{(path|name|id)\}", lambda found: parts[found[1]], template)


async def _to_wire(
    conn: Conn, call: CallState, found: Sequence[RecordingState], templates: Templates
) -> list[CallRecording]:
    telephones = {(call.source, one.extension) for one in found if one.extension}
    employees = await lookup.employees(conn, telephones) if telephones else {}
    template = templates.get(call.source)
    return [
        CallRecording(
            recording_id=one.id,
            state=one.state,
            employee_id=employees.get((call.source, one.extension or "")),
            started_at=one.started_at,
            stopped_at=one.stopped_at,
            duration_ms=one.duration_ms,
            channels=one.channels,
            link=f"/v1/telephony/calls/{call.id}/recordings/{one.id}"
            if recording_url(one, template)
            else None,
        )
        for one in found
    ]
