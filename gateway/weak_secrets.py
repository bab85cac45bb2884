"""Finds secrets that are none: examples, repetitions, rows of keys. Random ones always pass.

gateway.settings, gateway.pbx_settings ─▶ weakness_of.
"""

from __future__ import annotations

import base64
import binascii
import re

MIN_DISTINCT = 8
"""Of 32 random hex digits, fewer are different once in 25 million times."""
MAX_STEPS = 0.6
"""Share of characters that follow, or repeat, the one before, or the one before that. Of random
base64 it is 0.05, of random digits 0.28."""

KNOWN = (
    "replaceme", "changeme", "changethis", "changeit", "yoursecret", "yoursupersecret",
    "supersecret", "topsecret", "mysecret", "secretkey", "secrettoken", "password", "passphrase",
    "placeholder", "example", "insecure", "notasecret", "nosecret", "letmein", "loremipsum",
    "qwertyuiop", "asdfghjkl", "zxcvbnm", "correcthorsebattery", "deadbeef", "cafebabe",
    "astringsecretatleast", "your256bitsecret", "keyboardcat", "aym1sysppbydfgzld3umj1qzko",
)  # fmt: skip
"""What examples, frameworks and documents (jwt.io, RFC 7515) print, in small letters and digits."""


def weakness_of(secret: str) -> str | None:
    """Return why a secret can be guessed, for an error message without the secret; None: it cannot.

    What is base64 of a text is judged by the text, too.
    """
    return _weakness(secret) or next(filter(None, map(_weakness, _decoded(secret))), None)


def is_example(secret: str) -> bool:
    """Tell whether somebody has left a placeholder of our examples where it was."""
    return "replaceme" in _plain(secret)


def _weakness(secret: str) -> str | None:
    plain = _plain(secret)
    if any(known in plain for known in KNOWN):
        return "contains words that examples are made of"
    if len(set(secret)) < MIN_DISTINCT:
        return f"has fewer than {MIN_DISTINCT} different characters"
    if _is_repetition(secret) or _is_repetition(plain):
        return "repeats itself"
    if any(_steps(secret, stride) > MAX_STEPS * len(secret) for stride in (1, 2)):
        return "is a sequence of characters"
    return None


def _steps(text: str, stride: int) -> int:
    return sum(abs(ord(b) - ord(a)) <= 1 for a, b in zip(text, text[stride:], strict=False))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _is_repetition(text: str) -> bool:
    """Tell whether the text is a shorter one, again and again, perhaps cut."""
    return any(text[period:] == text[:-period] for period in range(1, len(text) // 2 + 1))


def _decoded(secret: str) -> list[str]:
    """Return the text of which a secret is the base64, if it is that of one."""
    data = secret.removeprefix("whsec_").rstrip("=")
    try:
        text = base64.b64decode(data + "=" * (-len(data) % 4), b"+/", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return []
    return [text]
