"""`gateway token`: a token for an employee, the end of one, or what is wrong with one."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import jwt
import typer

from gateway import db
from gateway.auth import KeysUnusable, Tokens, admit, make_tokens, subjects, token_check
from gateway.auth.opened import open_key_set
from gateway.auth.queries import employees, standing
from gateway.auth.tokens import MAX_TOKEN, ClaimWrong, KeySet, token_id_of
from gateway.cli.state import find_running, not_found, read_secret, require_running
from gateway.errors import GatewayError, KeysUnavailable
from gateway.settings import Settings

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def run(
    *, employee: str | None, ttl: str, revoke: str | None = None, check: str | None = None
) -> None:
    """Print the token, revoke one, or say what is wrong with one."""
    settings = Settings()
    if sum(given is not None for given in (employee, revoke, check)) != 1:
        typer.echo("Give the id of an employee, or --revoke JTI, or --check TOKEN.", err=True)
        raise typer.Exit(2)
    if check is not None:
        asyncio.run(_check(settings, check.strip()))
        return
    if revoke is not None:
        asyncio.run(_revoke(settings, *claims_of(revoke)))
        return
    assert employee is not None
    secret = _secret(settings)
    try:
        subjects.parse("employee", employee)
    except ValueError:
        typer.echo("The id of an employee is a positive integer, or the CRM's own id.", err=True)
        raise typer.Exit(2) from None
    tokens = _tokens(settings, secret)
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
    with contextlib.suppress(ClaimWrong):
        return token_id_of(text.strip(), claims), expires_at
    return "", expires_at


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


def _tokens(settings: Settings, secret: str, key_set: KeySet | None = None) -> Tokens:
    try:
        return make_tokens(settings, secret=secret, key_set=key_set)
    except KeysUnusable as error:
        typer.echo(f"GATEWAY_TOKEN_KEYS_FILE: {error}", err=True)
        raise typer.Exit(2) from None


async def _check(settings: Settings, token: str) -> None:
    """Print what is right and what is wrong with a token; exit status 1 if it is refused."""
    async with contextlib.AsyncExitStack() as stack:
        key_set = await open_key_set(settings, stack)
        if key_set is not None:
            try:
                await key_set.look_again()
            except KeysUnavailable:
                typer.echo("wrong  keys       GATEWAY_TOKEN_JWKS_URL cannot be read; see the log")
        tokens = _tokens(settings, _secret(settings), key_set)
        findings = token_check.check(tokens, token)
        for found in findings:
            typer.echo(f"{'right' if found.right else 'wrong'}  {found.part:<10} {found.text}")
        if not token_check.accepted(tokens, token):
            typer.echo("The gateway refuses this token.")
            raise typer.Exit(1)
        await _check_employee(settings, tokens, token)


async def _check_employee(settings: Settings, tokens: Tokens, token: str) -> None:
    """Print whether the CRM knows the employee, where its database can be reached."""
    claims = tokens.verify(token)
    running = find_running(settings.state_dir)
    url = settings.database_url or (str(running["database_url"]) if running else None)
    if url is None:
        typer.echo(
            "The gateway accepts it if the employee is active: GATEWAY_DATABASE_URL is unset."
        )
        return
    try:
        conn = await db.connect(url, application_name="gateway token")
        try:
            record = await employees.find(conn, claims.employee_id, token_id=claims.token_id)
        finally:
            await conn.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        typer.echo(f"The CRM cannot be asked about the employee: {error}", err=True)
        raise typer.Exit(1) from None
    try:
        admit(record, claims)
    except GatewayError as error:
        why = "crm.employees does not have this employee" if record is None else error.detail
        typer.echo(f"wrong  employee   {why}\nThe gateway refuses this token.")
        raise typer.Exit(1) from None
    assert record is not None
    typer.echo(f"right  employee   {record.employee.name!r} is active\n"
               "The gateway accepts this token.")  # fmt: skip


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
