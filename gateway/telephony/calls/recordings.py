"""Recordings of a call, for employees who may listen; every link that is issued is audited.

rest ─▶ issue_link ─▶ access, ingest's state, the audit. The gateway returns the URL of a recording
and never carries the sound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote
from uuid import UUID

from gateway import audit
from gateway.auth.permissions import CALLS_REVIEW, RECORDINGS_LISTEN
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import RecordingNotFound, RecordingNotReady
from gateway.protocol.recordings import CallRecording, RecordingLink
from gateway.telephony.calls.access import require_call
from gateway.telephony.calls.queries import lookup
from gateway.telephony.quality.queries import reviews
from ingest import CallState, RecordingState, condensed_calls, load_calls

LISTENERS = frozenset((RECORDINGS_LISTEN, CALLS_REVIEW))
"""Either permission is enough to listen to recordings of calls that one may see."""

Templates = Mapping[str, str]
"""PBX → its setting recordings_url."""


async def may_listen(ctx: Context, conn: Conn, call_id: UUID) -> bool:
    """Whether the employee, who may see this call, may also listen to its recordings.

    The subject of a published review of this call may: they could not dispute it otherwise.
    """
    if LISTENERS & ctx.identity.permissions:
        return True
    return await reviews.is_about(conn, call_id, ctx.user_id)


async def list_recordings(
    conn: Conn, call: CallState, templates: Templates, *, after: int = 0, limit: int
) -> list[CallRecording]:
    """Return recordings of a call after the first `after` ones, for who may listen to them."""
    found = await condensed_calls.page_of_recordings(conn, call.id, after, limit)
    return await _to_wire(conn, call, found, templates)


async def issue_link(
    ctx: Context, call_id: UUID, recording_id: UUID, templates: Templates
) -> RecordingLink:
    """Return the URL of a recording, and write to the audit who received it."""
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
        act = ctx.act(
            "recording.listen",
            subject=f"call:{now}",
            call_id=str(now),
            recording_id=str(recording_id),
        )
        await audit.record(tx.conn, act)
    return RecordingLink(recording=shown, url=url)


def recording_url(recording: RecordingState, template: str | None) -> str | None:
    """Return the URL of a recording, made of its path by the PBX's template if it has no URL.

    None when it is not ready, or the PBX sends paths and has no template.
    """
    location = recording.url
    if recording.state != "ready" or location is None:
        return None
    if re.match("https?://", location, re.IGNORECASE):
        return location
    if template is None:
        return None
    path = location.replace("\\", "/").lstrip("/")
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
