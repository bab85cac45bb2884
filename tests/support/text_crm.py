"""The CRM of text_crm.sql: the demo's people with uuids, in tables with quoted names."""

from __future__ import annotations

import hashlib
import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from gateway.db import Conn, migrate
from gateway.demo import install

TEXT_CRM = os.environ.get("GATEWAY_TEST_CRM") == "text"
"""Whether the tests run on this CRM instead of the demo."""

MIRROR = Path(__file__).with_name("text_crm_mirror.sql")
SQL = Path(__file__).parents[2] / "loadtests" / "text_crm.sql"


NEST_LOGIN = {"token_issuer": "", "token_audience": "", "token_requires_jti": False}
"""What an operator sets for the tokens of such a login."""


def nest_token(subject: str, secret: str, ttl: timedelta) -> str:
    """Return a token as `JwtService.sign({ sub, username })` makes it: no iss, no aud, no jti."""
    now = datetime.now(UTC)
    claims = {"sub": subject, "username": "somebody", "iat": now, "exp": now + ttl}
    return jwt.encode(claims, secret, algorithm="HS256")


async def install_text_crm(conn: Conn) -> None:
    """Migrate an empty database, and give it this CRM."""
    await migrate(conn)
    await install(conn)
    await conn.execute(SQL.read_text(encoding="utf-8"))


def uuid_of(kind: str, number: int) -> str:
    """Return the id that a row of the demo has here: kind is user, client, contact or lead."""
    digest = hashlib.md5(f"{kind} {number}".encode(), usedforsecurity=False)
    return str(uuid.UUID(digest.hexdigest()))
