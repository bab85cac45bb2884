"""`gateway token`: a token for an employee, or the end of one."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import jwt
import typer

from gateway import db
from gateway.auth import Tokens
from gateway.auth.queries import standing
from gateway.auth.tokens import MAX_TOKEN
from gateway.cli.state import find_running, not_found, read_secret, require_running
from gateway.settings import Settings

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def run(*, employee: int | None, ttl: str, revoke: str | None = None) -> None:
    """Print the token, or revoke one."""
    settings = Settings()
    if (employee is None) == (revoke is None):
        typer.echo("Give the id of an employee, or --revoke JTI.", err=True)
        raise typer.Exit(2)
    if revoke is not None:
        asyncio.run(_revoke(settings, *claims_of(revoke)))
        return
    assert employee is not None
    secret = _secret(settings)
    if not 1 <= employee <= 2**63 - 1:
        typer.echo("The id of an employee is a positive integer.", err=True)
        raise typer.Exit(2)
    tokens = Tokens(secret, settings.token_issuer, settings.token_audience)
    lifetime = duration(ttl)
    if lifetime > timedelta(seconds=settings.token_max_s):
        typer.echo(f"The gateway refuses tokens that live longer than GATEWAY_TOKEN_MAX_S: "
                   f"{settings.token_max_s} s.", err=True)  # fmt: skip
        raise typer.Exit(2)
    typer.echo(tokens.issue(employee, ttl=lifetime))


def claims_of(text: str) -> tuple[str, datetime | None]:
    """Return jti and exp of a token; of another text, the text itself and no end."""
    try:
        claims = jwt.decode(text, options={"verify_signature": False})
    except jwt.PyJWTError:
        return text.strip(), None
    expires_at = None
    with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError, OSError):
        expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
    return str(claims.get("jti", "")), expires_at


async def _revoke(settings: Settings, token_id: str, expires_at: datetime | None) -> None:
    url = settings.database_url
    if not url:
        unset = "GATEWAY_DATABASE_URL is"
        url = str(require_running(settings.state_dir, "database", unset=unset)["database_url"])
    if not 1 <= len(token_id) <= MAX_TOKEN or "\0" in token_id:
        typer.echo("This is neither a jti nor a token that has one.", err=True)
        raise typer.Exit(2)
    try:
        conn = await db.connect(url, application_name="gateway token")
        try:
            is_new = await standing.revoke(conn, token_id, expires_at)
        finally:
            await conn.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        typer.echo(f"Not revoked: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{token_id} is revoked." if is_new else f"{token_id} was revoked before.")


def _secret(settings: Settings) -> str:
    """Return the secret of the environment, else that of `gateway dev`.

    A secret that an earlier `gateway dev` left may not be that of the one that runs: the note goes
    to the terminal, not into `$(gateway token …)`.
    """
    if settings.token_secret:
        return settings.token_secret.get_secret_value()
    secret = read_secret(settings.state_dir, "token_secret")
    if not secret:
        why = not_found(settings.state_dir, "secret", unset="GATEWAY_TOKEN_SECRET is")
        typer.echo(why, err=True)
        raise typer.Exit(2)
    if find_running(settings.state_dir) is None:
        typer.echo(
            f"Note: no `gateway dev` is running with the state directory {settings.state_dir}. "
            "If yours has another one, its gateway refuses this token: export GATEWAY_STATE_DIR.",
            err=True,
        )
    return secret


def duration(text: str) -> timedelta:
    """Parse a duration such as 30m, 8h or 7d."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if match is None:
        raise typer.BadParameter("Write a number and a unit: 90s, 30m, 8h or 7d.")
    return timedelta(seconds=int(match[1]) * UNITS[match[2]])
