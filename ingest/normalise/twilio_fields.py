"""The fields of Twilio's callbacks that more than one kind of callback has: ids and times.

normalise.twilio, normalise.twilio_conferences ─▶ here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ingest.model.clock import is_plausible

LONGEST_SID = 64


class InvalidCallback(Exception):
    """Signed by Twilio, but not a valid callback of a call or a conference."""


def sid(fields: Mapping[str, str], name: str) -> str | None:
    value = fields.get(name) or None
    if value is not None and (len(value) > LONGEST_SID or not value.isalnum()):
        raise InvalidCallback(f"{name} is not one")
    return value


def needed_sid(fields: Mapping[str, str], name: str) -> str:
    value = sid(fields, name)
    if value is None:
        raise InvalidCallback(f"{name} is missing")
    return value


def date(fields: Mapping[str, str], name: str, received_at: datetime) -> datetime | None:
    text = fields.get(name)
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text)
        at = at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidCallback(f"{name} is no RFC 2822 date") from None
    if not is_plausible(at, received_at):
        raise InvalidCallback(f"{name} is too long ago, or in the future")
    return at
