"""HTTP requests to addresses that somebody else chose: bounded, without redirects, never inwards.

    async with Outbound(private=False) as outbound:
        answer = await outbound.get("https://login.example.com/keys", at_most=1_000_000)

addresses.py says which addresses are public; outbound.py connects to those and to no others.
"""

from gateway.outbound.addresses import is_public
from gateway.outbound.outbound import (
    AddressRefused,
    Answer,
    AnswerTooLarge,
    Outbound,
    OutboundError,
    Unreachable,
    UrlInvalid,
    check_url,
)

__all__ = [
    "AddressRefused",
    "Answer",
    "AnswerTooLarge",
    "Outbound",
    "OutboundError",
    "Unreachable",
    "UrlInvalid",
    "check_url",
    "is_public",
]
