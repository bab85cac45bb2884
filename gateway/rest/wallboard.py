"""Queues and agents as they are now, over HTTP; queue.watch on the socket sends changes.

clients ─▶ here ─▶ telephony.agents.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gateway.protocol import AgentPage, QueuePage
from gateway.protocol.frame import MAX_INT, PlainText
from gateway.protocol.stats import ZONE
from gateway.rest.depends import Asking, StrictRoute, answer
from gateway.rest.worker import parts_of
from gateway.telephony.agents import agents, wallboard

router = APIRouter(prefix="/v1/telephony", tags=["telephony"], route_class=StrictRoute)

Limit = Annotated[int, Query(ge=1, le=100)]


@router.get("/queues", response_model=QueuePage)
async def list_queues(
    asking: Asking,
    request: Request,
    *,
    tz: Annotated[str | None, Query(max_length=64, pattern=ZONE)] = None,
    after: Annotated[PlainText, Query(max_length=200)] = "",
    limit: Limit = 50,
) -> Response:
    """List queues as they are now, by name; needs stats.view."""
    zone = tz or parts_of(request).settings.wallboard_tz
    return answer(await wallboard.page(asking, zone, after=after, limit=limit))


@router.get("/agents", response_model=AgentPage)
async def list_agents(
    asking: Asking,
    *,
    after: Annotated[int, Query(ge=0, le=MAX_INT)] = 0,
    limit: Limit = 50,
) -> Response:
    """List who has a telephone and what they do now, by employee id; needs stats.view."""
    return answer(await agents.page(asking, after=after, limit=limit))
