"""Every PBX's callers and dialled numbers go through the one reader of numbers."""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.framing.ami_messages import AmiMessage
from ingest.model.events import CallEvent
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from ingest.normalise.freeswitch import FreeswitchNormaliser
from ingest.normalise.twilio import twilio_events
from ingest.normalise.webhook import parse_events

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
NUMBER = "+380671234567"
WRITTEN = (
    "\u202a+38 067 123 45 67\u202c",
    "\u0660\u0666\u0667\u0661\u0662\u0663\u0664\u0665\u0666\u0667",
    "067\u2011123\u201145\u201167",
    "sip:+380671234567@ims.mnc001.mcc255.3gppnetwork.org;user=phone",
    "tel:067-123-45-67;phone-context=ims.mnc001.mcc255.3gppnetwork.org",
    '"Ivan" <sip:+380671234567@carrier.example;user=phone>;tag=4711',
    "8 (067) 123-45-67 доб. 12",
)
WITHHELD = ("+266696687", "+86282452253", "Restricted", "Private Number", "anonymous", "0000000000")


def by_asterisk(number: str) -> CallEvent:
    fields = {"Event": "Newchannel", "Channel": "PJSIP/trunk-01", "Uniqueid": "1", "Linkedid": "1",
              "CallerIDNum": number}  # fmt: skip
    normaliser = AsteriskNormaliser("pbx", AsteriskDialect(region="UA"))
    return normaliser.events(AmiMessage(tuple(fields.items())), NOW)[0]


def by_freeswitch(number: str) -> CallEvent:
    fields = {"Event-Name": "CHANNEL_CREATE", "Unique-ID": "1", "Call-Direction": "inbound",
              "Channel-Name": "sofia/external/x", "Caller-Caller-ID-Number": number}  # fmt: skip
    return FreeswitchNormaliser("pbx", region="UA").events(fields, NOW)[0]


def by_twilio(number: str) -> CallEvent:
    fields = {"CallSid": "CA1", "CallStatus": "ringing", "Direction": "inbound", "From": number}
    return twilio_events(fields, source="pbx", received_at=NOW, region="UA")[0]


def by_webhook(number: str) -> CallEvent:
    item = {"type": "call.started", "call_key": "c", "occurred_at": NOW.isoformat(),
            "attrs": {"direction": "inbound", "number": number}}  # fmt: skip
    return parse_events([item], source="pbx", region="UA", now=NOW).events[0]


READERS = (by_asterisk, by_freeswitch, by_twilio, by_webhook)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("written", WRITTEN)
def test_every_pbx_s_caller_is_found(read: Callable[[str], CallEvent], written: str) -> None:
    """In E.164, whatever the PBX writes; what it wrote is kept."""
    attrs = read(written).attrs

    assert (attrs["number_e164"], attrs["number_raw"]) == (NUMBER, written)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("written", WITHHELD)
def test_every_pbx_s_withheld_number_is_anonymous(
    read: Callable[[str], CallEvent], written: str
) -> None:
    """One word for all, which no number can be mistaken for."""
    attrs = read(written).attrs

    assert (attrs.get("number_e164"), attrs["number_raw"]) == (None, "anonymous")


def test_an_extension_that_calls_is_stored_without_marks() -> None:
    """As it is mapped to an employee."""
    attrs = by_asterisk("\u202a101\u202c").attrs

    assert attrs == {"number_raw": "101", "short": True}


def test_only_one_module_reads_numbers() -> None:
    """Another one would read them differently; lists of countries may be taken from the library."""
    parsing = {"parse", "is_valid_number", "format_number", "PhoneNumberMatcher"}
    readers = set()
    for package in ("gateway", "ingest", "presence"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            used = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
            if used & {f"phonenumbers.{name}" for name in parsing}:
                readers.add(path.relative_to(ROOT).as_posix())

    assert readers == {"ingest/normalise/numbers.py"}
