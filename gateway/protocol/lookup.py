"""Who has a number, as it is asked over HTTP."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.calls import Customer, LastCall, Number
from gateway.protocol.frame import Id, PlainText, frame

MAX_CANDIDATES = 20

Confidence = Literal["exact", "national", "partial"]


@frame
class NumberSought:
    """Whose number is asked for."""

    number: Number
    region: Annotated[PlainText, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """Country of a national number, if not GATEWAY_PHONE_REGION."""


@frame
class Candidate:
    """A customer who may be meant."""

    customer: Customer
    number: str
    """The number of theirs that fits, in E.164."""
    confidence: Confidence
    """exact: this number; national: the same digits read in the country of another PBX; partial:
    the last nine digits of something that is no number."""


@frame
class NumberFound:
    """What is known of a number."""

    number: str
    """As it was asked."""
    kind: Literal["number", "extension", "anonymous", "unreadable"]
    """unreadable: no number in this region, no extension; others may have it all the same."""
    e164: str | None = None
    employee_id: Id | None = None
    """Whose extension it is."""
    candidates: list[Candidate] = field(default_factory=list)
    """At most 20, the likeliest first; of equals, who has open work."""
    contacts: list[LastCall] = field(default_factory=list)
    """The last 5 calls with this number, newest first."""
    last_spoke: Id | None = None
    """The employee who talked last with whoever has this number, in one of its last 50 calls."""
