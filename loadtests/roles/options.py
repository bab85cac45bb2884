"""Locust's additional options, and the employees that they name.

locustfile ─▶ add_options ─▶ Locust's command line and page; their values ─▶ players ─▶ Seats.
"""

from __future__ import annotations

import re
from argparse import Namespace
from datetime import timedelta
from pathlib import Path
from typing import Any

from gateway.auth import Tokens
from gateway.cli.state import read_secret
from gateway.settings import default_state_dir
from loadtests import test_users
from loadtests.roles.shapes import LOADS
from loadtests.test_users import SignedInUser

TTL = timedelta(hours=24)
HOST = "http://127.0.0.1:8080"
LIMIT = 1_000_000


def add_options(parser: Any) -> None:
    """Add what these users need to Locust's parser; its page shows the same."""

    def add(flag: str, help_: str, **more: Any) -> None:
        variable = "LOADTEST_" + flag.lstrip("-").replace("-", "_").upper()
        parser.add_argument(flag, env_var=variable, help=help_, **more)

    add(
        "--cast",
        "JSON file of employees: employee_id, token, url, extension, supervises",
        default="",
    )
    add(
        "--token-secret",
        "GATEWAY_TOKEN_SECRET: sign tokens for --employees instead of a --cast",
        default="", is_secret=True,
    )  # fmt: skip
    add("--employees", "With --token-secret: ids such as 1-5000,7001", default="1-100")
    add(
        "--extensions",
        "With --token-secret: telephones such as 101-160, of the last --employees in this order",
        default="",
    )
    add("--supervisors", "With --token-secret: ids of employees with stats.view", default="")
    add("--pbx-source", "Name of the PBX that posts calls", default="main")
    add("--pbx-secret", "Secret of that PBX: GATEWAY_PBX_SECRETS", default="", is_secret=True)
    add(
        "--ami-port",
        "Do not post: be an Asterisk on this port, the second Locust process on the next, …",
        type=int, default=0,
    )  # fmt: skip
    add("--load", "steady, ramp, storm or day", choices=list(LOADS), default="steady")


def numbers(text: str) -> list[int]:
    """Return the numbers of `1-3,7`; ValueError says what is wrong."""
    found: list[int] = []
    for part in filter(None, re.split(r"[,\s]+", text)):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part)
        if match is None:
            raise ValueError(f"{part!r} is no number and no range such as 1-5000")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= LIMIT:
            raise ValueError(f"{part!r} is an empty or too long range")
        found += range(first, last + 1)
    if len(set(found)) != len(found):
        raise ValueError(f"{text!r} names a number twice")
    return found


def players(options: Namespace) -> list[SignedInUser]:
    """Return the employees that may be played; ValueError or OSError when they cannot be told."""
    if options.cast:
        return test_users.read(Path(options.cast).expanduser())
    base = (options.host or HOST).rstrip("/")
    if options.token_secret:
        return _signed(options, base.replace("http", "ws", 1) + "/v1/ws")
    return test_users.sign_in(base)


def pbx_secret(options: Namespace) -> str:
    """Return the secret with which calls are posted; for the demo, that of its `gateway dev`."""
    given: str = options.pbx_secret
    if given or options.cast or options.token_secret:
        return given
    return read_secret(default_state_dir(), "pbx_secret") or ""


def _signed(options: Namespace, url: str) -> list[SignedInUser]:
    tokens = Tokens(options.token_secret, "crm-gateway", "crm-gateway")
    employees = numbers(options.employees)
    extensions = numbers(options.extensions)
    supervisors = set(numbers(options.supervisors))
    if unknown := supervisors - set(employees):
        raise ValueError(f"--supervisors {min(unknown)} is not among --employees")
    staff = [one for one in employees if one not in supervisors]
    if len(extensions) > len(staff):
        raise ValueError(f"{len(extensions)} --extensions for {len(staff)} --employees")
    first = len(staff) - len(extensions)
    phone_of = {staff[first + place]: str(ext) for place, ext in enumerate(extensions)}
    return [
        SignedInUser(
            one, tokens.issue(one, ttl=TTL), url, phone_of.get(one), supervises=one in supervisors
        )
        for one in employees
    ]
