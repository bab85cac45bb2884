"""Who has a number: from what was shown, dialled or typed to customers of the CRM and last calls.

rest ─▶ resolve ─▶ queries. Any text is answered; one that is no number has no candidates.
call_filter, missed ─▶ numbers_for: lists of calls interpret a number in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.context import Context
from gateway.errors import Invalid
from gateway.protocol.lookup import Confidence, LookupRequest, NumberFound
from gateway.telephony.calls.queries import lookup as queries
from ingest import REGIONS, by_last_digits, e164, is_withheld, without_suffix

EXTENSION = re.compile(r"[0-9*#]{1,6}")


async def resolve(ctx: Context, request: LookupRequest) -> NumberFound:
    """Return who may have this number, by the rules of its region, then of the other PBXs'."""
    regions = ctx.services.regions
    region = request.region or regions[0]
    if region not in REGIONS:
        raise Invalid("must be a country of ISO 3166 that has telephone numbers", path="region")
    text = request.number.strip()
    if is_withheld(text):
        return NumberFound(number=request.number, kind="anonymous")
    others = [other for other in regions if other != region]
    readings = _interpretations(text, region, others)
    exact = readings[0][0] if readings and readings[0][1] == "exact" else None
    extension = text if exact is None and EXTENSION.fullmatch(text) else None
    async with ctx.reading() as conn:
        found = await queries.find(conn, readings, extension=extension)
    return NumberFound(
        number=request.number,
        kind="number" if exact else "extension" if found.employee_id else "unreadable",
        e164=exact,
        employee_id=found.employee_id,
        candidates=found.candidates,
        contacts=found.contacts.calls if exact else [],
        last_spoke=found.contacts.last_spoke if exact else None,
    )


def numbers_for(text: str, regions: Sequence[str]) -> list[str]:
    """Return the E.164 numbers that a text is by the rules of these countries, each once."""
    numbers = (_to_e164(text, region) for region in regions)
    return list(dict.fromkeys(number for number in numbers if number))


def _interpretations(text: str, region: str, others: Sequence[str]) -> list[tuple[str, Confidence]]:
    """Return the E.164 numbers that a text may be, the likeliest first, each once."""
    found: dict[str, Confidence] = {}
    if exact := _to_e164(text, region):
        found[exact] = "exact"
    for national in numbers_for(text, others):
        found.setdefault(national, "national")
    if not found:
        for any_region in (region, *others):
            if number := by_last_digits(text, any_region):
                found.setdefault(number, "partial")
    return list(found.items())


def _to_e164(text: str, region: str) -> str | None:
    return e164(text, region) or e164(without_suffix(text), region)
