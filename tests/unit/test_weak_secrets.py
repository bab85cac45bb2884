"""Secrets that anybody could guess are refused at the start, and random ones never."""

from __future__ import annotations

import base64
import re
import secrets
import string
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.settings import Settings
from gateway.weak_secrets import KNOWN, weakness_of
from tests.support.amounts import tries

ROOT = Path(__file__).parents[2]
EXAMPLE = dict(
    re.findall(
        r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE
    )
)
GUESSED = [
    " " * 40,
    "\t \n" * 20,
    "x" * 32,
    "0" * 64,
    "ab" * 20,
    "abcdefg" * 6,
    "0123456789abcdef" * 2,
    "0123456789abcdef" * 2 + "0123",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "zyxwvutsrqponmlkjihgfedcba9876543210",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdef",
    "1a2b3c4d5e6f7g8h9i0j1k2l3m4n5o6p7q8r",
    "12345678901234567890123456789012",
    "qwertyuiopasdfghjklzxcvbnm1234567890",
    "Change-Me-Please-0x9f8e7d6c5b4a3z2y1w",
    "please_replace_me_9f8e7d6c5b4a3z2y1w0",
    "your-super-secret-jwt-key-goes-here-1",
    "a-string-secret-at-least-256-bits-long",
    "django-insecure-8x!k2#v9q@w7e$r5t^y3u&i1",
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    base64.b64encode(b"change-me-by-openssl-rand-base64-32").decode(),
    base64.b64encode(bytes(range(64))).decode(),
    base64.b64encode(b"k" * 40).decode(),
    EXAMPLE["GATEWAY_TOKEN_SECRET"],
]


@pytest.mark.parametrize("secret", GUESSED)
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    """The error names the setting and the remedy, and does not repeat the secret."""
    with pytest.raises(ValidationError) as refused:
        Settings(token_secret=SecretStr(secret))

    (error,) = refused.value.errors(include_input=False, include_url=False)
    assert error["loc"] == ("token_secret",)
    assert "openssl rand" in error["msg"]
    assert not secret.strip() or secret not in error["msg"]


@pytest.mark.parametrize("known", KNOWN)
def test_words_of_examples_make_no_secret(known: str) -> None:
    """However they are written, and whatever stands around them."""
    shown = "-".join([known[:3].upper(), known[3:]])

    assert weakness_of(f"{secrets.token_hex(8)}{shown}{secrets.token_hex(16)}")


def test_spaces_around_a_secret_do_not_count() -> None:
    """Thirty bytes and ten spaces are thirty bytes."""
    with pytest.raises(ValidationError, match="32 bytes"):
        Settings(token_secret=SecretStr(f"     {secrets.token_urlsafe(30)[:30]}     "))


@pytest.mark.parametrize(
    "alphabet",
    [
        string.hexdigits[:16],
        string.digits + "abcdef",
        string.ascii_letters + string.digits + "-_+/",
    ],
)
@pytest.mark.parametrize("length", [32, 44, 64])
def test_random_secrets_pass(alphabet: str, length: int) -> None:
    """Three hundred of each kind that `openssl rand` and password managers make."""
    for _ in range(300):
        secret = "".join(secrets.choice(alphabet) for _ in range(length))
        assert weakness_of(secret) is None


@tries(30, 300)
def test_random_bytes_pass_in_base64(tries: int) -> None:
    """As `openssl rand -base64 48`, and as a webhook's secret."""
    for _ in range(tries):
        assert weakness_of(base64.b64encode(secrets.token_bytes(48)).decode()) is None
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        assert Settings(pbx_secrets={"main": [f"whsec_{key}"]}).pbx_secrets["main"].plain_secrets


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_not base64 at all, is it?",
        "whsec_" + "A" * 43 + "=",
        "whsec_" + base64.b64encode(b"too short").decode(),
        "whsec_" + base64.b64encode(b"replace-me-by-openssl-rand-base64-32").decode(),
        re.findall(r"whsec_[^\"]+", EXAMPLE["GATEWAY_PBX_SECRETS"])[0],
    ],
)
def test_a_pbxs_secret_must_be_one_too(secret: str) -> None:
    """Checked at the start, not at the first webhook."""
    given: Any = {"main": {"secrets": [secret], "region": "PL"}}

    with pytest.raises(ValidationError) as refused:
        Settings(pbx_secrets=given)

    assert "whsec_" in str(refused.value.errors(include_input=False)[0]["msg"])


@pytest.mark.parametrize("url", ["database_url", "redis_url"])
def test_an_examples_password_is_refused_in_an_address(url: str) -> None:
    """Other passwords are the server's matter; so are addresses without one."""
    example = EXAMPLE["POSTGRES_PASSWORD"]
    with pytest.raises(ValidationError, match="example") as refused:
        Settings(**{url: f"postgresql://gateway:{example}@postgres/crm"})  # type: ignore[arg-type]
    assert example not in str(refused.value.errors(include_input=False)[0]["msg"])

    for fine in ("postgresql://postgres:postgres@db/crm", "postgresql:///crm", "redis://r:6379/0"):
        assert Settings(**{url: fine})  # type: ignore[arg-type]
