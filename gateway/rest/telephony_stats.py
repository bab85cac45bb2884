"""Statistics of calls over HTTP, as JSON or as CSV for a spreadsheet.

clients ─▶ here ─▶ telephony.stats.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Response

from gateway.protocol.calls import Direction
from gateway.protocol.frame import PlainText
from gateway.protocol.search import Moment
from gateway.protocol.stats import ZONE, Method, StatsAgents, StatsOverview, StatsQueues
from gateway.rest.depends import Asking, EmployeeQuery, StrictRoute
from gateway.telephony.stats import stats
from gateway.telephony.stats.queries.stats import StatsFilter
from gateway.telephony.stats.rates import SHORT_MS, THRESHOLD_MS
from gateway.telephony.stats.stats import Kind, StatsRequest

router = APIRouter(prefix="/v1/telephony/stats", tags=["telephony"], route_class=StrictRoute)

Form = Annotated[Literal["json", "csv"], Query(alias="format")]
Lines = Annotated[Literal["figures", "hours"], Query()]
FILE_NAMES = {"figures": "overview"}
"""Table → name of its file, where it differs."""
FORMULA = re.compile(r"(^|[;,|\t\r\n])([\s\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a spreadsheet may see the beginning of a formula; names come from a PBX. Cells are parted
by what the reader's language uses, and full-width signs are signs in some."""
BYTE_ORDER_MARK = "\ufeff"
"""Without it, Excel reads UTF-8 as the code page of its machine."""
AS_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}}
}


Queue = Annotated[PlainText, Query(min_length=1, max_length=200)]


def stats_request(
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    tz: Annotated[str, Query(max_length=64, pattern=ZONE)] = "UTC",
    direction: Direction | None = None,
    queue: Queue | None = None,
    agent_id: EmployeeQuery = None,
    threshold_s: Annotated[float, Query(ge=0, le=86_400, allow_inf_nan=False)] = THRESHOLD_MS
    / 1_000,
    short_s: Annotated[float, Query(ge=0, le=3_600, allow_inf_nan=False)] = SHORT_MS / 1_000,
    sl_method: Method = "sl6",
) -> StatsRequest:
    """Return the request of the query parameters; the default period is the last seven days."""
    begin, end = stats.period(since, until)
    return StatsRequest(
        StatsFilter(
            since=begin,
            until=end,
            tz=tz,
            direction=direction,
            queue=queue,
            agent_id=agent_id,
            threshold_ms=round(threshold_s * 1_000),
            short_ms=round(short_s * 1_000),
        ),
        sl_method,
    )


Requested = Annotated[StatsRequest, Depends(stats_request)]


@router.get("/overview", response_model=StatsOverview, responses=AS_CSV)
async def overview(
    asking: Asking, what: Requested, form: Form = "json", lines: Lines = "figures"
) -> Response:
    """Count all calls of a period: answered, waited, talked, hours of the week (stats.view).

    As CSV it is one line of figures, or with `lines=hours` a line for each hour of the week.
    """
    return await _answer(asking, "overview", what, form, table=lines)


@router.get("/agents", response_model=StatsAgents, responses=AS_CSV)
async def agents(asking: Asking, what: Requested, form: Form = "json") -> Response:
    """Count what each agent did on the telephone in a period; needs stats.view."""
    return await _answer(asking, "agents", what, form, table="agents")


@router.get("/queues", response_model=StatsQueues, responses=AS_CSV)
async def queues(asking: Asking, what: Requested, form: Form = "json") -> Response:
    """Count how callers waited in each queue in a period; needs stats.view."""
    return await _answer(asking, "queues", what, form, table="queues")


async def _answer(
    asking: Asking, kind: Kind, what: StatsRequest, form: str, *, table: str
) -> Response:
    answer = await stats.read(asking, kind, what)
    if form == "json":
        return Response(answer, media_type="application/json")
    return Response(
        as_csv(table, orjson.loads(answer)),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{FILE_NAMES.get(table, table)}.csv"'
        },
    )


def as_csv(table: str, answer: dict[str, Any]) -> str:
    """Return a line for each agent, queue or hour, one line for `figures`; null is empty."""
    rows = [answer] if table == "figures" else answer[table]
    printed = io.StringIO()
    lines = [_flat(row) for row in rows]
    if lines:
        writer = csv.DictWriter(printed, list(lines[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(lines)
    return BYTE_ORDER_MARK + printed.getvalue()


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested figures to names with a dot; lists are left out."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            flat[f"{prefix}{name}"] = _cell(value)
    return flat


def _cell(value: Any) -> Any:
    """Return text in which nothing is a formula: `'` before the sign makes it text."""
    return FORMULA.sub(r"\1\2'", value) if isinstance(value, str) else value
