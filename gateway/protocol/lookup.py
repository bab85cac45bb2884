"""Look-up of a telephone number over HTTP."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.calls import Customer, LastCall, Number
from gateway.protocol.frame import Id, frame

MAX_CANDIDATES = 20

Confidence = Literal["exact", "national", "partial"]
Region = Annotated[str, Field(strict=True, pattern=r"^[A-Z]{2}$")]


@frame
class LookupRequest:
    """A number to look up."""

    number: Number
    region: Region | None = None
    """Country of a national number, if not GATEWAY_PHONE_REGION."""


@frame
class Candidate:
    """A customer who may have the number."""

    customer: Customer
    number: str
    """The number of the customer that matches, in E.164."""
    confidence: Confidence
    """exact: this number; national: the same digits in the country of another PBX; partial: the
    last nine digits of something that is not a number."""


@frame
class NumberFound:
    """The result of a look-up."""

    number: str
    """The number as it was requested."""
    kind: Literal["number", "extension", "anonymous", "unreadable"]
    """extension: an employee has it, even if it is a number, too; unreadable: neither a number of
    this region nor an extension; candidates are possible."""
    e164: str | None = None
    employee_id: Id | None = None
    """The employee who has this extension."""
    candidates: list[Candidate] = field(default_factory=list)
    """At most 20, the best match first; among equals, those with open work first."""
    contacts: list[LastCall] = field(default_factory=list)
    """The last 5 calls with this number, newest first."""
    last_spoke: Id | None = None
    """The employee who talked with this number last, within its last 50 calls."""
