"""Authentication: tokens, and the employee that a token names; keys of service accounts.

claims = await tokens.authenticate(token)
identity = await identities.identify(claims)
account = await service_accounts.authenticate(key)
"""

from __future__ import annotations

from gateway.auth import token_check
from gateway.auth.identity import Identity
from gateway.auth.identity_cache import IdentityCache, admit, identify
from gateway.auth.keys import KeysUnusable
from gateway.auth.opened import accepted_secrets, make_tokens, open_tokens
from gateway.auth.queries.employees import EmployeeRecord
from gateway.auth.service_accounts import ServiceAccount, ServiceAccounts
from gateway.auth.tokens import Claims, Tokens

__all__ = [
    "Claims",
    "EmployeeRecord",
    "Identity",
    "IdentityCache",
    "KeysUnusable",
    "ServiceAccount",
    "ServiceAccounts",
    "Tokens",
    "accepted_secrets",
    "admit",
    "identify",
    "make_tokens",
    "open_tokens",
    "token_check",
]
