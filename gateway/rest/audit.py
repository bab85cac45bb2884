"""The audit over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from gateway.chat import audit
from gateway.chat.queries.audit import AuditFilter
from gateway.protocol.audit import MAX_RECORDS, AuditPage
from gateway.protocol.search import Moment
from gateway.rest.depends import Asking, EmployeeQuery, IdQuery, StrictRoute, answer

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
    before: IdQuery = None,
    limit: Annotated[int, Query(ge=1, le=MAX_RECORDS)] = 50,
) -> Response:
    """Acts of moderation, exports and retention, the newest first; needs audit.read.

    `before` is the `next` of the page before; `until` itself is not in it.
    """
    sought = AuditFilter(act, actor_id, conversation_id, since, until)
    return answer(await audit.page(asking, sought, before=before, limit=limit))
