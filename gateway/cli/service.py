"""`gateway service add|rotate|list|revoke`: accounts of programs, and their keys."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import orjson
import typer

from gateway import service_accounts
from gateway.auth import scopes
from gateway.auth.queries import service_accounts as queries
from gateway.auth.queries.service_accounts import ListedKey
from gateway.auth.service_keys import NewKey
from gateway.cli.database import print_table, refuse, run
from gateway.cli.token import duration
from gateway.db import Conn

COMMAND = "gateway service"
NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")


def add(name: str, *, scope: list[str], rate: float, expires: str | None, json: bool) -> None:
    """Make an account, and print its key."""
    if not NAME.fullmatch(name):
        refuse(2, "A name begins with a-z and has at most 63 of a-z, 0-9, _, . and -.")
    if unknown := sorted(set(scope) - scopes.ALLOWS.keys()):
        known = "\n".join(f"  {one:<22} {what}" for one, what in scopes.ALLOWS.items())
        refuse(2, f"There is no scope {unknown[0]!r}. These are known:\n{known}")
    if not scope:
        refuse(2, f"Give at least one --scope: {', '.join(scopes.ALLOWS)}.")
    expires_at = _end(expires)

    async def work(conn: Conn) -> NewKey | None:
        return await service_accounts.add(
            conn, name, scopes=scope, rate_per_s=rate, expires_at=expires_at
        )

    made = run(work, name=COMMAND)
    if made is None:
        refuse(1, f"There is or was a service account {name!r}; a name is used once.")
    _print_key(name, made, expires_at, json=json)


def rotate(name: str, *, expires: str | None, json: bool) -> None:
    """Make another key of an account, and print it."""
    expires_at = _end(expires)
    made = run(
        lambda conn: service_accounts.rotate(conn, name, expires_at=expires_at), name=COMMAND
    )
    if made is None:
        refuse(1, f"There is no service account {name!r}.")
    _print_key(name, made, expires_at, json=json)


def list_keys(*, json: bool) -> None:
    """Print the accounts and their keys, without what is secret."""
    found = run(queries.list_keys, name=COMMAND)
    if json:
        typer.echo(orjson.dumps(found, option=orjson.OPT_UTC_Z).decode())
        return
    rows = [("name", "key", "state", "rate", "last used", "expires", "scopes")]
    rows += [
        (
            one.name,
            one.key_id,
            _state_of(one),
            f"{one.rate_per_s:g}/s",
            _moment(one.last_used_at),
            _moment(one.expires_at),
            " ".join(one.scopes),
        )
        for one in found
    ]
    print_table(rows)


def revoke(name: str, *, key: str | None) -> None:
    """Revoke an account, or one key of it."""
    if not run(lambda conn: service_accounts.revoke(conn, name, key_id=key), name=COMMAND):
        which = (
            f"The service account {name!r} has no key {key!r}"
            if key
            else (f"There is no service account {name!r}")
        )
        refuse(1, f"{which}, or it was revoked before.")
    typer.echo(f"{name}: {f'key {key}' if key else 'the account'} is revoked.")


def _print_key(name: str, made: NewKey, expires_at: datetime | None, *, json: bool) -> None:
    """Print a key alone to the output, for `$(gateway service add …)`; the rest is a note."""
    if json:
        facts = {"name": name, "key_id": made.key_id, "key": made.key, "expires_at": expires_at}
        typer.echo(orjson.dumps(facts, option=orjson.OPT_UTC_Z).decode())
        return
    typer.echo(made.key)
    typer.echo(f"This is the key {made.key_id} of {name}. It is not stored: keep it now.", err=True)


def _end(expires: str | None) -> datetime | None:
    return datetime.now(UTC) + duration(expires) if expires is not None else None


def _state_of(one: ListedKey) -> str:
    if one.account_revoked_at is not None or one.revoked_at is not None:
        return "revoked"
    if one.expires_at is not None and one.expires_at <= datetime.now(UTC):
        return "expired"
    return "valid"


def _moment(moment: datetime | None) -> str:
    return moment.isoformat(timespec="minutes") if moment is not None else "-"
