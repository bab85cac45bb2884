"""The page of a refused sign-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.auth import Tokens
from gateway.auth.oidc import SignIn
from gateway.errors import Overloaded, ProviderRefused
from gateway.outbound import Outbound
from gateway.rest import sign_in_page
from tests.support.given_settings import GivenSettings

HOSTILE = "\"'><script>evil()</script>&{base}"


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound(private=True) as outbound:
        yield outbound


def sign_in_at(public_url: str, outbound: Outbound) -> SignIn:
    settings = GivenSettings(
        oidc_issuer="https://login.example", oidc_client_id="x", public_url="https://x.example"
    )
    tokens = Tokens("a secret of thirty-two bytes or so", "", "")
    return SignIn(settings, outbound, tokens=tokens, public_url=public_url, leeway_s=0)


async def test_whatever_it_says_is_text(outbound: Outbound) -> None:
    """Details of an error, and the gateway's own address, which an operator writes."""
    sign_in = sign_in_at(f"https://gateway.example/{HOSTILE}", outbound)

    said = bytes(sign_in_page.refusal(sign_in, ProviderRefused(HOSTILE), route=HOSTILE).body)

    assert b"<script" not in said
    assert said.count(b"&quot;&#x27;&gt;&lt;script&gt;evil()&lt;/script&gt;&amp;{base}") == 5


async def test_it_says_when_to_come_back(outbound: Outbound) -> None:
    """As the same refusal over REST does."""
    sign_in = sign_in_at("https://gateway.example", outbound)

    answer = sign_in_page.refusal(sign_in, Overloaded("Later.", retry_after=7))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
