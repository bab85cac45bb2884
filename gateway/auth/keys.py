"""Keys that verify tokens: secrets, PEM files and JSON Web Key Sets (RFC 7517).

tokens.py ─▶ candidates(keys, header): which of them may have signed a token. A key has one
algorithm, whatever a token's header says: else an HMAC made with the public key would do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

PUBLIC_KEY_ALGORITHMS = ("RS256", "ES256", "EdDSA")
MAX_KEYS = 100
"""More keys than this in one set are refused: a provider has two or three."""
MAX_KEYS_BYTES = 1_000_000
MAX_KID = 256
MIN_RSA_BITS = 2_048

PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


class KeysUnusable(ValueError):
    """A file or an answer has no keys that verify tokens; the text says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key with the only algorithm that it verifies."""

    algorithm: str
    material: Any
    """The secret as text, or a public key of `cryptography`."""
    kid: str | None = None


def secret_keys(secrets: Iterable[str]) -> tuple[Key, ...]:
    """Return the keys of these HS256 secrets."""
    return tuple(Key("HS256", secret) for secret in secrets)


def candidates(keys: Iterable[Key], header: Mapping[str, Any]) -> Iterator[Key]:
    """Yield the keys that may have signed a token with this header.

    A key without a `kid` (a secret, a PEM file) may have signed any token of its algorithm.
    """
    algorithm, kid = header.get("alg"), header.get("kid")
    fitting = [key for key in keys if key.algorithm == algorithm]
    if kid is None:
        yield from fitting
        return
    # That of this name first: only so many are tried.
    yield from (key for key in fitting if key.kid == kid)
    yield from (key for key in fitting if key.kid is None)


def read_keys(path: Path) -> tuple[Key, ...]:
    """Return the keys of a file: PEM public keys and certificates, or a JSON Web Key Set."""
    try:
        data = path.read_bytes()[: MAX_KEYS_BYTES + 1]
    except OSError as error:
        raise KeysUnusable(f"{path} cannot be read: {error.strerror}") from None
    if data.lstrip().startswith(b"{"):
        if keys := parse_jwks(data):
            return keys
        raise KeysUnusable("the key set has no key for RS256, ES256 or EdDSA")
    return parse_pem(data)


def parse_pem(data: bytes) -> tuple[Key, ...]:
    """Return the keys of PEM blocks; KeysUnusable for one that is not a usable public key."""
    blocks = PEM_BLOCK.finditer(data.decode("ascii", errors="replace"))
    keys = tuple(_of_block(block[1], block[0].encode()) for block in blocks)
    if not keys:
        raise KeysUnusable("there is no PEM block")
    return keys


def _of_block(label: str, block: bytes) -> Key:
    if "PRIVATE" in label:
        raise KeysUnusable("a private key does not belong here: it can sign tokens")
    try:
        if label == "CERTIFICATE":
            found: Any = load_pem_x509_certificate(block).public_key()
        else:
            found = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm):
        raise KeysUnusable(f"the block {label} is not a public key") from None
    return _key_of(found, None)


def parse_jwks(data: bytes) -> tuple[Key, ...]:
    """Return the usable keys of a JSON Web Key Set; KeysUnusable for what is no such set.

    Keys of other kinds (encryption, other algorithms) are passed over: sets contain such keys.
    """
    if len(data) > MAX_KEYS_BYTES:
        raise KeysUnusable(f"a key set has at most {MAX_KEYS_BYTES} bytes")
    try:
        entries = orjson.loads(data)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise KeysUnusable("this is not a JSON Web Key Set") from None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise KeysUnusable(f"a key set is a list of at most {MAX_KEYS} keys")
    return tuple(key for entry in entries if (key := _of_jwk(entry)) is not None)


def _of_jwk(entry: Any) -> Key | None:
    """Return the key of an entry that verifies signatures, else None."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    operations, kid = entry.get("key_ops", ["verify"]), entry.get("kid")
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID):
        return None
    public = {name: value for name, value in entry.items() if name not in PRIVATE_PARTS}
    if public.get("kty") == "oct":
        return None  # a shared secret that is published is none
    try:
        key = _key_of(jwt.PyJWK(public, algorithm=_algorithm_of(public)).key, kid)
    except (jwt.PyJWTError, KeysUnusable, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if entry.get("alg", key.algorithm) == key.algorithm else None


PRIVATE_PARTS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def _algorithm_of(entry: Mapping[str, Any]) -> str | None:
    return {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}.get(str(entry.get("kty")))


def _key_of(found: Any, kid: str | None) -> Key:
    """Return a key with its algorithm; KeysUnusable for a kind that verifies none of ours."""
    match found:
        case rsa.RSAPublicKey():
            if found.key_size < MIN_RSA_BITS:
                raise KeysUnusable(f"an RSA key has at least {MIN_RSA_BITS} bits")
            return Key("RS256", found, kid)
        case ec.EllipticCurvePublicKey() if isinstance(found.curve, ec.SECP256R1):
            return Key("ES256", found, kid)
        case ed25519.Ed25519PublicKey():
            return Key("EdDSA", found, kid)
    raise KeysUnusable("a key is RSA, EC with the curve P-256, or Ed25519")
