"""Which methods an address takes is told whichever route or file stands behind it."""

from __future__ import annotations

import pytest

from tests.support.desk import OKSANA, Desk

CONVERSATIONS = "/v1/messenger/conversations"


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        (CONVERSATIONS, "OPTIONS", {"GET", "POST"}),
        (CONVERSATIONS + "/1", "DELETE", {"GET", "PATCH"}),
        (CONVERSATIONS + "/1/archive", "GET", {"PUT", "DELETE"}),
        ("/v1/presence/me", "GET", {"PUT"}),
        ("/v1/telephony/events", "HEAD", {"POST"}),
        ("/healthz", "POST", {"GET"}),
        ("/", "POST", {"GET", "HEAD"}),
        ("/sdk/client.js", "PUT", {"GET", "HEAD"}),
    ],
)
async def test_a_method_that_an_address_does_not_take_is_told_the_others(
    desk: Desk, path: str, method: str, allowed: set[str]
) -> None:
    """405 with all methods of all routes of the address, also where the page is asked."""
    answer = await desk.http(OKSANA).request(method, path)

    assert answer.status_code == 405
    assert {name.strip() for name in answer.headers["allow"].split(",")} == allowed
