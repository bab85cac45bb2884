"""The audit over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from gateway.audit import Source
from gateway.audit.act import REQUEST_ID, SUBJECT_LENGTH
from gateway.audit.queries.audit import AuditFilter
from gateway.chat import audit
from gateway.protocol.audit import MAX_RECORDS, AuditPage
from gateway.protocol.search import Moment
from gateway.rest.depends import Asking, Cursor, EmployeeQuery, IdQuery, StrictRoute, answer

LINE = r"^[^\x00-\x1f\x7f-\x9f]+$"

router = APIRouter(prefix="/v1", tags=["audit"], route_class=StrictRoute)


@router.get("/audit", response_model=AuditPage)
async def read_audit(
    asking: Asking,
    *,
    act: Annotated[str | None, Query(max_length=100, pattern=r"^[a-z_]+\.[a-z_]+$")] = None,
    actor_id: EmployeeQuery = None,
    conversation_id: IdQuery = None,
    since: Moment | None = None,
    until: Moment | None = None,
    source: Source | None = None,
    subject: Annotated[str | None, Query(max_length=SUBJECT_LENGTH, pattern=LINE)] = None,
    request_id: Annotated[str | None, Query(pattern=rf"^{REQUEST_ID.pattern}$")] = None,
    cursor: Cursor = None,
    before: IdQuery = None,
    limit: Annotated[int, Query(ge=1, le=MAX_RECORDS)] = 50,
) -> Response:
    """Acts of moderation, exports, retention and the CRM's own, the newest first; needs audit.read.

    `cursor` is that of the page before, or `before` its `next`; `until` itself is not in it.
    """
    sought = AuditFilter(act, actor_id, conversation_id, since, until, source, subject, request_id)
    return answer(await audit.page(asking, sought, cursor=cursor, before=before, limit=limit))
