"""`gateway token`: a token for an employee."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

from gateway.auth import Tokens
from gateway.cli.state import find_running, not_found, read_secret
from gateway.settings import Settings

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def run(*, employee: int, ttl: str) -> None:
    """Print the token."""
    settings = Settings()
    secret = _secret(settings)
    if not 1 <= employee <= 2**63 - 1:
        typer.echo("The id of an employee is a positive integer.", err=True)
        raise typer.Exit(2)
    tokens = Tokens(secret, settings.token_issuer, settings.token_audience)
    typer.echo(tokens.issue(employee, ttl=duration(ttl)))


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
