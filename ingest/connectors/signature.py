"""Signatures of posted events: Standard Webhooks 1.0 (https://www.standardwebhooks.com).

HTTP endpoint ─▶ verify ─▶ parse. The signature covers `id.timestamp.body`, so neither body nor time
nor id can be changed, and a copy is useless after five minutes. Verify the raw bytes before
anything parses them, and do not show the sender why a check failed.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Iterable

TOLERANCE_S = 300
SECRET_PREFIX = "whsec_"  # noqa: S105 (the format's public prefix)
VERSION = "v1"
MAX_SIGNATURES = 10  # a rotation sends two; more is guessing
MAX_ID_CHARS = 256
MIN_KEY_BYTES = 16


class InvalidSignature(Exception):
    """Signature, time or id are invalid. The reason is for the log, never for the sender."""


def sign(body: bytes, *, message_id: str, timestamp: int, secret: str) -> str:
    """Return the value of the webhook-signature header."""
    mac = hmac.digest(_key(secret), _signed(message_id, timestamp, body), "sha256")
    return f"{VERSION},{base64.b64encode(mac).decode()}"


def verify(
    body: bytes,
    *,
    message_id: str | None,
    timestamp: str | None,
    signature: str | None,
    secrets: Iterable[str],
    now: float | None = None,
) -> str:
    """Return the message's id, or raise InvalidSignature.

    Every secret is tried, so a new one can be introduced before the old one is removed.
    """
    if not (message_id and timestamp and signature):
        raise InvalidSignature("a webhook header is missing")
    if "." in message_id or len(message_id) > MAX_ID_CHARS:
        raise InvalidSignature("webhook-id is not usable")
    sent_at = _fresh(timestamp, time.time() if now is None else now)
    offered = [part for part in signature.split(" ") if part.startswith(f"{VERSION},")]
    expected = [
        sign(body, message_id=message_id, timestamp=sent_at, secret=secret) for secret in secrets
    ]
    if not any_equal(expected, offered[:MAX_SIGNATURES]):
        raise InvalidSignature("no signature matches")
    return message_id


def _fresh(timestamp: str, now: float) -> int:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise InvalidSignature("webhook-timestamp is not a number of seconds")
    sent_at = int(timestamp)
    if abs(now - sent_at) > TOLERANCE_S:
        raise InvalidSignature("webhook-timestamp is more than 5 minutes away")
    return sent_at


def any_equal(expected: list[str], offered: list[str]) -> bool:
    """Compare all with all without stopping early, so the time reveals nothing."""
    found = False
    for good in expected:
        for candidate in offered:
            found |= hmac.compare_digest(good.encode(), candidate.encode("utf-8", "replace"))
    return found


def _signed(message_id: str, timestamp: int, body: bytes) -> bytes:
    return b"%s.%d.%s" % (message_id.encode("utf-8", "replace"), timestamp, body)


def is_webhook_secret(secret: str) -> bool:
    """Tell whether this can be a secret: base64 of at least 16 bytes, with or without prefix."""
    return len(_decoded(secret)) >= MIN_KEY_BYTES


def _decoded(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:  # binascii.Error, or characters beyond ASCII
        return b""


def _key(secret: str) -> bytes:
    key = _decoded(secret)
    if len(key) < MIN_KEY_BYTES:
        # A configuration error: name it, but never quote the secret.
        raise ValueError(f"a webhook secret is {SECRET_PREFIX} and base64 of at least 16 bytes")
    return key
