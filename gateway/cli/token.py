"""`gateway token`: a token for an employee."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

from gateway.auth import Tokens
from gateway.cli.state import read_secret
from gateway.settings import Settings

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def run(*, employee: int, ttl: str) -> None:
    """Print the token."""
    settings = Settings()
    secret = (
        settings.token_secret.get_secret_value()
        if settings.token_secret
        else read_secret(settings.state_dir, "token_secret")
    )
    if not secret:
        typer.echo("Set GATEWAY_TOKEN_SECRET, or run `gateway dev` once.", err=True)
        raise typer.Exit(2)
    if not 1 <= employee <= 2**63 - 1:
        typer.echo("The id of an employee is a positive integer.", err=True)
        raise typer.Exit(2)
    tokens = Tokens(secret, settings.token_issuer, settings.token_audience)
    typer.echo(tokens.issue(employee, ttl=duration(ttl)))


def duration(text: str) -> timedelta:
    """Parse a duration such as 30m, 8h or 7d."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if match is None:
        raise typer.BadParameter("Write a number and a unit: 90s, 30m, 8h or 7d.")
    return timedelta(seconds=int(match[1]) * UNITS[match[2]])
