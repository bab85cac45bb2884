"""Who has a number: from what was shown, dialled or typed to customers of the CRM and last calls.

rest ─▶ resolve ─▶ queries. Any text is answered; one that is no number has no candidates.
call_filter, missed ─▶ numbers_for, texts_for: lists of calls interpret a number in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.context import Context
from gateway.errors import Invalid
from gateway.protocol.lookup import Confidence, LookupRequest, NumberFound
from gateway.telephony.calls.queries import lookup as queries
from ingest import ANONYMOUS, REGIONS, by_last_digits, e164, read_number


async def resolve(ctx: Context, request: LookupRequest) -> NumberFound:
    """Return who may have this number, by the rules of its region, then of the other PBXs'."""
    regions = ctx.services.regions
    region = request.region or regions[0]
    if region not in REGIONS:
        raise Invalid("must be a country of ISO 3166 that has telephone numbers", path="region")
    text = request.number
    reading = read_number(text, region)
    if reading.withheld:
        return NumberFound(number=request.number, kind="anonymous")
    others = [other for other in regions if other != region]
    readings = _interpretations(text, region, others)
    exact = readings[0][0] if readings and readings[0][1] == "exact" else None
    ctx.services.crm_views.require("customers", "customer_phones")
    async with ctx.reading() as conn:
        found = await queries.find(conn, readings, extension=reading.short)
    return NumberFound(
        number=request.number,
        kind="extension" if found.employee_id else "number" if exact else "unreadable",
        e164=exact,
        employee_id=found.employee_id,
        candidates=found.candidates,
        contacts=found.contacts.calls if exact else [],
        last_spoke=found.contacts.last_spoke if exact else None,
    )


def numbers_for(text: str, regions: Sequence[str]) -> list[str]:
    """Return the E.164 numbers that a text is by the rules of these countries, each once."""
    numbers = (e164(text, region) for region in regions)
    return list(dict.fromkeys(number for number in numbers if number))


def texts_for(text: str, regions: Sequence[str]) -> list[str]:
    """Return what a text may be in calls that have no E.164 number, each once."""
    readings = [read_number(text, region) for region in regions]
    found = [text, text.strip(), *(one.short for one in readings if one.short)]
    if any(one.withheld for one in readings):
        found.append(ANONYMOUS)
    return list(dict.fromkeys(found))


def _interpretations(text: str, region: str, others: Sequence[str]) -> list[tuple[str, Confidence]]:
    """Return the E.164 numbers that a text may be, the likeliest first, each once."""
    found: dict[str, Confidence] = {}
    if exact := e164(text, region):
        found[exact] = "exact"
    for national in numbers_for(text, others):
        found.setdefault(national, "national")
    if not found:
        for any_region in (region, *others):
            if number := by_last_digits(text, any_region):
                found.setdefault(number, "partial")
    return list(found.items())
