"""The keys of service accounts: `gw_`, what names the key, `_`, its secret and a checksum.

service_accounts.py, cli ─▶ here. Scanners for leaked secrets find keys by their form, and the
checksum tells one from other text without the database. The name of a key may be shown anywhere.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import NamedTuple

from gateway.ops.redaction import KEY_PREFIX

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 10
SECRET_LENGTH = 43
"""62^43 is above 2^256."""
CHECKSUM_LENGTH = 6

_KEY = re.compile(
    rf"{KEY_PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
)


class NewKey(NamedTuple):
    """A key that was just made; only its hash is stored."""

    key: str
    key_id: str
    key_hash: bytes


def make_key() -> NewKey:
    """Return a random key."""
    key_id, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    body = f"{KEY_PREFIX}{key_id}_{secret}"
    key = body + checksum(body)
    return NewKey(key, key_id, key_hash(key))


def is_service_key(credentials: str) -> bool:
    """Return whether this is meant to be the key of a service account, valid or not."""
    return credentials.startswith(KEY_PREFIX)


def key_id_of(key: str) -> str | None:
    """Return what names a key; None when it is not one, or was copied wrongly."""
    found = _KEY.fullmatch(key)
    if found is None or checksum(key[:-CHECKSUM_LENGTH]) != key[-CHECKSUM_LENGTH:]:
        return None
    return found[1]


def key_hash(key: str) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


def checksum(body: str) -> str:
    """Return the CRC-32 of a key's other characters, in this alphabet."""
    rest, found = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        found = ALPHABET[digit] + found
    return found


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
