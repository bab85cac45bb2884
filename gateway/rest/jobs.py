"""Background jobs over HTTP: those that failed for good."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from gateway import dead_jobs
from gateway.protocol.jobs import MAX_DEAD_JOBS, DeadJobPage, DeadJobRetried
from gateway.rest.depends import Asking, IdQuery, RowId, StrictRoute, answer

router = APIRouter(prefix="/v1/admin/jobs", tags=["operation"], route_class=StrictRoute)


@router.get("/dead", response_model=DeadJobPage)
async def list_dead(
    asking: Asking,
    *,
    kind: Annotated[str | None, Query(max_length=100, pattern=r"^[a-z_]+\.[a-z_]+$")] = None,
    before: IdQuery = None,
    limit: Annotated[int, Query(ge=1, le=MAX_DEAD_JOBS)] = 50,
) -> Response:
    """Jobs that failed for good, the newest first; needs jobs.manage.

    `before` is the `next` of the page before.
    """
    return answer(await dead_jobs.page(asking, kind=kind, before=before, limit=limit))


@router.post("/dead/{dead_id}/retry", response_model=DeadJobRetried)
async def retry(asking: Asking, dead_id: RowId) -> Response:
    """Order a dead job again, due at once; needs jobs.manage."""
    return answer(await dead_jobs.retry(asking, dead_id))
