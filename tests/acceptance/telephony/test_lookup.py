"""Who calls: the customer with the last calls on a ringing telephone, and lookups of numbers."""

from __future__ import annotations

from typing import Any

from gateway.protocol import CallOffered
from tests.support.calls import ANSWERED, IVAN, miss, play, post, recorded
from tests.support.desk import OKSANA, PETRO, Desk, customer, employee

SOLOMIIA = employee(5)
"""A trainee, who may look numbers up."""
LOOKUP = "/v1/telephony/lookup"


async def test_a_ringing_telephone_shows_the_last_calls_with_this_customer(desk: Desk) -> None:
    """Newest first, with who spoke; the welcome shows the same, an update does not."""
    await play(desk, await recorded(ANSWERED))  # Oksana spoke with Ivan
    await miss(desk)
    petro = await desk.client(PETRO)
    ringing: list[dict[str, Any]] = [
        {"type": "call.started", "leg_key": "p", "attrs": {"number": IVAN}},
        {"type": "offer.started", "leg_key": "q", "peer_leg_key": "p", "extension": "102"},
        {"type": "leg.ringing", "leg_key": "q", "extension": "102"},
    ]

    await post(desk, "now", *ringing)

    customer = (await petro.next(CallOffered)).call.customer
    assert customer is not None
    assert [(one.outcome, one.employee_id) for one in customer.contacts] == [
        ("missed", None), ("answered", OKSANA),
    ]  # fmt: skip
    assert customer.last_spoke == OKSANA
    (live,) = (await desk.client(PETRO, node=1)).welcome.calls
    assert live.customer == customer


async def test_a_number_is_found_in_any_notation(small_desk: Desk) -> None:
    """A text that is no number is answered, too; the customer with open work is first."""
    await small_desk.sql("UPDATE demo_crm.leads SET client_id = 13 WHERE client_id = 12")
    await small_desk.sql("UPDATE demo_crm.work_orders SET client_id = 13 WHERE client_id = 12")
    await play(small_desk, await recorded(ANSWERED))  # Oksana spoke with Ivan
    http = small_desk.http(SOLOMIIA)
    cases: list[tuple[dict[str, str], str, list[tuple[int, str]]]] = [
        ({"number": IVAN}, "number", [(1, "exact")]),
        ({"number": " 8 (044) 123-45-67 доб. 12"}, "number", [(2, "exact")]),
        ({"number": "sip:+380671234567@pbx"}, "number", [(1, "exact")]),
        ({"number": "044 500 00 00"}, "number", [(13, "exact"), (12, "exact")]),
        ({"number": "0671234567", "region": "US"}, "unreadable", [(1, "national")]),
        ({"number": "999 0671234567"}, "unreadable", [(1, "partial")]),
        ({"number": "+380509999999"}, "number", []),
        ({"number": "101"}, "extension", []),
        ({"number": "777"}, "unreadable", []),
        ({"number": "Anonymous"}, "anonymous", []),
        ({"number": "+266696687"}, "anonymous", []),
        ({"number": '"Ivan" <sip:+380671234567@ims.example;user=phone>'}, "number", [(1, "exact")]),
        ({"number": "\u202a+38\u2011067\u00a0123 45 67\u202c"}, "number", [(1, "exact")]),
        (
            {"number": "\u0660\u0666\u0667\u0661\u0662\u0663\u0664\u0665\u0666\u0667"},
            "number",
            [(1, "exact")],
        ),
        ({"number": "\u202a101\u202c"}, "extension", []),
        ({"number": "call me ☎"}, "unreadable", []),
    ]
    for asked, kind, found in cases:
        answer = await http.get(LOOKUP, params=asked)

        assert answer.status_code == 200, answer.text
        body = answer.json()
        candidates = [(one["customer"]["id"], one["confidence"]) for one in body["candidates"]]
        named = [(customer(number), confidence) for number, confidence in found]
        assert (body["kind"], candidates) == (kind, named), asked
        assert body["employee_id"] == (OKSANA if kind == "extension" else None)
        spoken = found == [(1, "exact")]
        assert body["last_spoke"] == (OKSANA if spoken else None)
        assert [one["outcome"] for one in body["contacts"]] == ["answered"] * spoken
