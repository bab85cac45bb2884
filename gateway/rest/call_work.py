"""What people add to calls over HTTP: dispositions, notes; and links to recordings."""

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
"""What stays as it is when a URL is put into a header; letters beyond ASCII do not."""


@frame
class DispositionChoice:
    """How a call went; null takes away what was set."""

    disposition: DispositionCode | None


@frame
class NoteNew:
    """A note; repeating a client_key stores it once."""

    client_key: UUID
    text: NoteText


@frame
class NoteChange:
    """Another text for a note of mine."""

    text: NoteText


@router.get("/dispositions", response_model=DispositionPage)
async def list_dispositions(
    asking: Asking,
    limit: Annotated[int, Query(ge=1, le=MAX_DISPOSITIONS)] = MAX_DISPOSITIONS,
    cursor: Cursor = None,
) -> Response:
    """List what the operator offers as dispositions, in their order; anyone may."""
    return answer(await notes.list_dispositions(asking, limit=limit, cursor=cursor))


@router.put("/calls/{call_id}/disposition", response_model=CallDispositionIs)
async def set_disposition(asking: Asking, call_id: UUID, body: DispositionChoice) -> Response:
    """Say how a call went; the last one to be set counts."""
    command = CallDispositionSet(call_id=call_id, disposition=body.disposition)
    return answer(await commands.run(asking, command))


@router.post(NOTES, response_model=CallNoteIs, status_code=201)
async def add_note(asking: Asking, call_id: UUID, body: NoteNew) -> Response:
    """Write a note to a call I may see; the same client_key again answers with the first one."""
    command = CallNoteAdd(call_id=call_id, client_key=body.client_key, text=body.text)
    return answer(await commands.run(asking, command), 201)


@router.patch(NOTES + "/{note_id}", response_model=CallNoteIs)
async def edit_note(asking: Asking, call_id: UUID, note_id: RowId, body: NoteChange) -> Response:
    """Give a note of mine another text."""
    command = CallNoteEdit(call_id=call_id, note_id=note_id, text=body.text)
    return answer(await commands.run(asking, command))


@router.delete(NOTES + "/{note_id}", response_model=CallNoteIs)
async def delete_note(asking: Asking, call_id: UUID, note_id: RowId) -> Response:
    """Take a note of mine away; doing it again changes nothing."""
    return answer(await commands.run(asking, CallNoteDelete(call_id=call_id, note_id=note_id)))


@router.get(
    "/calls/{call_id}/recordings/{recording_id}",
    response_model=RecordingLink,
    responses={302: {"description": "`redirect=true`: where the recording is"}},
)
async def get_recording(
    request: Request, asking: Asking, call_id: UUID, recording_id: UUID, *, redirect: bool = False
) -> Response:
    """Say where a recording is, as JSON or as a redirection; each time is noted in the audit.

    Needs recordings.listen or calls.review, or a published review of this call about oneself.
    """
    found = await recordings.issue_link(asking, call_id, recording_id, templates_of(request))
    if redirect:
        location = quote(found.url, safe=SAFE_IN_HEADER)
        return Response(status_code=302, headers={"Location": location})
    return answer(found)


def templates_of(request: Request) -> Templates:
    """Return PBX → how its paths become URLs."""
    pbxs = parts_of(request).settings.pbxs
    return {name: pbx.recordings_url for name, pbx in pbxs.items() if pbx.recordings_url}
