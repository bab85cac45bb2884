"""Twilio's signature of its callbacks: X-Twilio-Signature.

HTTP endpoint ─▶ verify ─▶ normalise.twilio. HMAC-SHA1, with the account's auth token, over the
address as configured at Twilio and every field's name and value, sorted, without separators. It
covers no time; a callback that is sent again is recognised by its event ids.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

from ingest.connectors.signature import InvalidSignature, any_equal

Fields = list[tuple[str, str]]

PORTS = {"https": 443, "http": 80}


def sign_twilio(url: str, fields: Fields, *, token: str) -> str:
    """Return the value of the X-Twilio-Signature header."""
    # One name may come more than once; equal pairs count once.
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    mac = hmac.digest(token.encode(), text.encode("utf-8", "surrogateescape"), "sha1")
    return base64.b64encode(mac).decode()


def verify_twilio(
    url: str, fields: Fields, *, signature: str | None, tokens: Iterable[str]
) -> None:
    """Raise InvalidSignature unless it is signed with one of the tokens."""
    spellings = _spellings(url)
    expected = [sign_twilio(one, fields, token=token) for token in tokens for one in spellings]
    if not any_equal(expected, [signature or ""]):
        raise InvalidSignature("no signature matches")


def _spellings(url: str) -> list[str]:
    """Twilio signs with the port or without, depending on scheme and product."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    bare = host.rpartition(":")[0] if parts.port else host
    spelled = [host, bare, f"{bare}:{parts.port or PORTS.get(parts.scheme, 443)}"]
    return [parts._replace(netloc=netloc).geturl() for netloc in dict.fromkeys(spelled)]
