"""Dispositions and notes of calls, and links to recordings, over HTTP.

clients ─▶ here ─▶ commands, telephony.calls.notes, telephony.calls.recordings.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from gateway import commands
from gateway.protocol.annotations import (
    MAX_DISPOSITIONS,
    CallDispositionIs,
    CallDispositionSet,
    CallNoteAdd,
    CallNoteDelete,
    CallNoteEdit,
    CallNoteIs,
    DispositionPage,
    NoteText,
)
from gateway.protocol.calls import DispositionCode
from gateway.protocol.frame import frame
from gateway.protocol.recordings import RecordingLink
from gateway.rest.depends import Asking, Cursor, RowId, StrictRoute, answer
from gateway.rest.worker import parts_of
from gateway.telephony.calls import notes, recordings
from gateway.telephony.calls.recordings import Templates

router = APIRouter(prefix="/v1/telephony", tags=["telephony"], route_class=StrictRoute)

NOTES = "/calls/{call_id}/notes"
SAFE_IN_HEADER = ":/?#[]@!$&'()*+,;=%~"
"""Characters of a URL that are not quoted in a header; those beyond ASCII are."""


@frame
class DispositionChoice:
    """How a call went; null clears it."""

    disposition: DispositionCode | None


@frame
class NoteNew:
    """A note; repeating a client_key stores it once."""

    client_key: UUID
    text: NoteText


@frame
class NoteChange:
    """The new text of a note of mine."""

    text: NoteText


@router.get("/dispositions", response_model=DispositionPage)
async def list_dispositions(
    asking: Asking,
    limit: Annotated[int, Query(ge=1, le=MAX_DISPOSITIONS)] = MAX_DISPOSITIONS,
    cursor: Cursor = None,
) -> Response:
    """List the operator's dispositions, in the operator's order; needs no permission."""
    return answer(await notes.list_dispositions(asking, limit=limit, cursor=cursor))


@router.put("/calls/{call_id}/disposition", response_model=CallDispositionIs)
async def set_disposition(asking: Asking, call_id: UUID, body: DispositionChoice) -> Response:
    """Set how a call went; the last disposition that was set counts."""
    command = CallDispositionSet(call_id=call_id, disposition=body.disposition)
    return answer(await commands.run(asking, command))


@router.post(NOTES, response_model=CallNoteIs, status_code=201)
async def add_note(asking: Asking, call_id: UUID, body: NoteNew) -> Response:
    """Add a note to a call I may see; the same client_key again returns the first note."""
    command = CallNoteAdd(call_id=call_id, client_key=body.client_key, text=body.text)
    return answer(await commands.run(asking, command), 201)


@router.patch(NOTES + "/{note_id}", response_model=CallNoteIs)
async def edit_note(asking: Asking, call_id: UUID, note_id: RowId, body: NoteChange) -> Response:
    """Replace the text of a note of mine."""
    command = CallNoteEdit(call_id=call_id, note_id=note_id, text=body.text)
    return answer(await commands.run(asking, command))


@router.delete(NOTES + "/{note_id}", response_model=CallNoteIs)
async def delete_note(asking: Asking, call_id: UUID, note_id: RowId) -> Response:
    """Delete a note of mine; repeating it changes nothing."""
    return answer(await commands.run(asking, CallNoteDelete(call_id=call_id, note_id=note_id)))


@router.get(
    "/calls/{call_id}/recordings/{recording_id}",
    response_model=RecordingLink,
    responses={302: {"description": "`redirect=true`: where the recording is"}},
)
async def get_recording(
    request: Request, asking: Asking, call_id: UUID, recording_id: UUID, *, redirect: bool = False
) -> Response:
    """Return the URL of a recording, as JSON or as a redirect; each time is written to the audit.

    Needs recordings.listen or calls.review, or a published review of this call about oneself.
    """
    found = await recordings.issue_link(asking, call_id, recording_id, templates_of(request))
    if redirect:
        location = quote(found.url, safe=SAFE_IN_HEADER)
        return Response(status_code=302, headers={"Location": location})
    return answer(found)


def templates_of(request: Request) -> Templates:
    """Return PBX → template by which the paths of its recordings become URLs."""
    pbxs = parts_of(request).settings.pbxs
    return {name: pbx.recordings_url for name, pbx in pbxs.items() if pbx.recordings_url}
