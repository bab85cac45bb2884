"""Lists of calls as clients ask for them: whose, with whom, how they went."""

from __future__ import annotations

from gateway.protocol import CallList
from tests.calls import ANSWERED, play, recorded
from tests.desk import Desk

CALLS = "/v1/telephony/calls"
ENGINEER = 14
"""Has no telephone."""


async def test_who_has_no_telephone_has_no_calls(desk: Desk) -> None:
    """The list is empty and at its end, on the socket and over HTTP."""
    await play(desk, await recorded(ANSWERED))

    page = await (await desk.client(ENGINEER)).request(CallList())
    answer = await desk.http(ENGINEER).get(CALLS, params={"queue": "sales"})

    assert (page.calls, page.next) == ([], None)
    assert answer.json() == {"calls": [], "dispositions": {}, "next": None}
