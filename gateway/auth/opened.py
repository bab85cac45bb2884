"""Tokens as the settings describe them, with the keys that this takes.

app.py and cli/ ─▶ make_tokens(), and open_tokens() where the keys of a URL are kept current.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

from gateway.auth.key_set import KeySetUrl
from gateway.auth.keys import read_keys
from gateway.auth.tokens import KeySet, Tokens
from gateway.ops.tasks import Tasks
from gateway.outbound import Outbound
from gateway.token_settings import TokenSettings


def make_tokens(
    settings: TokenSettings, *, secret: str = "", key_set: KeySet | None = None
) -> Tokens:
    """Return the tokens of these settings, by default with their secret.

    KeysUnusable when GATEWAY_TOKEN_KEYS_FILE has no usable keys.
    """
    if not secret:
        assert settings.token_secret is not None
        secret = settings.token_secret.get_secret_value()
    return Tokens(
        secret,
        settings.token_issuer,
        settings.token_audience,
        settings.token_leeway_s,
        timedelta(seconds=settings.token_max_s),
        accepted_secrets(settings),
        read_keys(settings.token_keys_file) if settings.token_keys_file else (),
        key_set,
        settings.token_subject_claim,
        settings.token_requires_jti,
    )


def accepted_secrets(settings: TokenSettings) -> tuple[str, ...]:
    """Return the secrets that are accepted beside the one that signs."""
    return tuple(secret.get_secret_value() for secret in settings.token_accepted_secrets)


async def open_key_set(settings: TokenSettings, stack: AsyncExitStack) -> KeySetUrl | None:
    """Return the key set of the settings' URL; it ends with the stack."""
    if settings.token_jwks_url is None:
        return None
    outbound = await stack.enter_async_context(Outbound(private=settings.token_jwks_private))
    return KeySetUrl(settings.token_jwks_url, outbound)


async def open_tokens(settings: TokenSettings, stack: AsyncExitStack) -> Tokens:
    """Return the tokens of these settings, with keys that are kept current until the stack ends."""
    key_set = await open_key_set(settings, stack)
    if key_set is not None:
        tasks = await stack.enter_async_context(Tasks())
        tasks.spawn(key_set.run(), name="token keys")
    return make_tokens(settings, key_set=key_set)
