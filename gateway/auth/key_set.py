"""The key set of a provider (JWKS, RFC 7517) behind a URL, kept and got again.

tokens.py ─▶ look_again(), when a token has a key that is not in the set. The provider is asked at
most every AGAIN_S seconds, whatever tokens arrive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from gateway.auth.keys import MAX_KEYS_BYTES, Key, KeysUnusable, parse_jwks
from gateway.errors import KeysUnavailable
from gateway.outbound import AddressRefused, Answer, Outbound, OutboundError

log = structlog.get_logger(__name__)

EVERY_S = 300.0
"""Keys are got again this often: one that the provider withdraws is refused after that time."""
AGAIN_S = 10.0
"""The least time between two requests."""
KEPT_S = 86_400.0
"""Keys are used this long while the provider does not answer."""


class KeySetUrl:
    """The keys at a URL. `run()` keeps them current."""

    def __init__(
        self,
        url: str,
        outbound: Outbound,
        *,
        again_s: float = AGAIN_S,
        allowed_by: str = "GATEWAY_TOKEN_JWKS_PRIVATE",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask at most every `again_s`. The setting `allowed_by` allows private addresses."""
        self._url = url
        self._outbound = outbound
        self._again_s = again_s
        self._allowed_by = allowed_by
        self._now = now
        self._keys: tuple[Key, ...] = ()
        self._got_at = float("-inf")
        self._tried_at = float("-inf")
        self._getting: asyncio.Task[None] | None = None
        self._problem = ""

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of the last answer; none when that is too long ago."""
        return self._keys if self._now() - self._got_at < KEPT_S else ()

    async def look_again(self) -> None:
        """Get the keys for a token whose key is unknown; KeysUnavailable when that must wait."""
        if self._getting is None and (wait_s := self._tried_at + self._again_s - self._now()) > 0:
            raise KeysUnavailable(retry_after=wait_s)
        await self._get()
        if self._problem:
            raise KeysUnavailable(retry_after=self._again_s)

    async def renew(self) -> None:
        """Get the keys if the last answer is older than EVERY_S; without one they stay."""
        now = self._now()
        if now - self._got_at >= EVERY_S and now - self._tried_at >= self._again_s:
            await self._get()

    async def run(self) -> None:
        """Get the keys now, and again and again."""
        while True:
            await self._get()
            await asyncio.sleep(self._again_s if self._problem else EVERY_S)

    async def _get(self) -> None:
        """Ask the provider once for all who wait; whoever is cancelled stops nobody else."""
        if self._getting is None:
            self._getting = asyncio.create_task(self._ask(), name="token keys")
            self._getting.add_done_callback(self._got)
        await asyncio.shield(self._getting)

    def _got(self, _: asyncio.Task[None]) -> None:
        self._getting = None

    async def _ask(self) -> None:
        self._tried_at = self._now()
        try:
            answer = await self._outbound.get(
                self._url, at_most=MAX_KEYS_BYTES, headers={"accept": "application/json"}
            )
            keys = _keys_of(answer)
        except AddressRefused as error:
            self._note(f"{error}; {self._allowed_by} allows it")
        except (OutboundError, KeysUnusable) as error:
            self._note(str(error))
        else:
            self._note("")
            self._keys, self._got_at = keys, self._now()

    def _note(self, problem: str) -> None:
        """Log what is new: the first of many failures alike, and their end."""
        if problem and problem != self._problem:
            log.warning("token_keys.unavailable", why=problem)
        elif self._problem and not problem:
            log.info("token_keys.available")
        self._problem = problem


def _keys_of(answer: Answer) -> tuple[Key, ...]:
    if answer.status != 200:
        raise KeysUnusable(f"the provider answered {answer.status}")
    return parse_jwks(answer.body)
