"""`python -m tests.contract.openapi`: does the REST API do what its OpenAPI document says?

Schemathesis reads /openapi.json of a gateway, by default of one that is started for it, and asks
every operation what the document allows and what it does not. It has a director's token, so that
what supervisors see is reached, too, and for programs the key of a service account. Exit status: 0
when nothing failed.

A failure is a fault of the document or of the product. What no JSON Schema can say is listed in
openapi_checks.py.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway import service_accounts
from gateway.auth import Tokens, scopes
from gateway.cli.state import read_secret
from gateway.db import connect
from loadtests.own_gateway import own_gateway
from tests.support.desk import DIRECTOR

OF_PROGRAMS = ("--include-path-regex", "^/v1/(service|connections|events)")
ROOT = Path(__file__).parents[2]
EXAMPLES = 50
RATES = ("COMMANDS", "READS", "WRITES", "PASSING", "ANONYMOUS")
UNLIMITED = {
    f"GATEWAY_{name}_{what}": "100000" for name in RATES for what in ("PER_S", "BURST")
}  # fmt: skip
PHASES = "examples,coverage,fuzzing"
"""Not `stateful`: the document links no operations."""


def main(arguments: Sequence[str]) -> int:
    """Run Schemathesis; return its exit status."""
    given = _arguments().parse_args(arguments)
    with _gateway(given.url, given.token) as (url, token, key):
        options = {"examples": given.examples, "seed": given.seed, "phases": given.phases}
        failed = schemathesis(url, token, **options)
        if key is not None:
            failed = schemathesis(url, key, **options, more=OF_PROGRAMS) or failed
        return failed


def schemathesis(
    url: str,
    token: str,
    *,
    examples: int,
    seed: int | None = None,
    phases: str = PHASES,
    more: Sequence[str] = (),
) -> int:
    """Check the gateway at this URL, as whoever has this token; return the exit status."""
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {token}"),
        *("--phases", phases, "--max-examples", str(examples)),
        *("--exclude-checks", "positive_data_acceptance"),
        *("--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off"),
        *(() if seed is None else ("--seed", str(seed))),
        *more,
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.contract.openapi_checks", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **hooks}, check=False).returncode


@contextmanager
def _gateway(url: str | None, token: str | None) -> Iterator[tuple[str, str, str | None]]:
    """Give the URL of a gateway, a token, and the key of a service account of ours."""
    if url is not None:
        yield url.rstrip("/"), token or "", None
        return
    with own_gateway(workers=1, settings=UNLIMITED) as gateway:
        secret = read_secret(gateway.directory, "token_secret")
        assert secret is not None
        own = Tokens(secret, "crm-gateway", "crm-gateway").issue(DIRECTOR)
        key = asyncio.run(_service_key(gateway.database_url))
        yield f"http://127.0.0.1:{gateway.worker_ports[0]}", token or own, key


async def _service_key(database_url: str) -> str:
    """Make a service account that may do everything; return its key."""
    conn = await connect(database_url, application_name="contract")
    try:
        made = await service_accounts.add(
            conn, "contract", scopes=list(scopes.ALLOWS), rate_per_s=100_000, expires_at=None
        )
    finally:
        await conn.close()
    assert made is not None
    return made.key


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.contract.openapi",
        description="Check the REST API against its OpenAPI document with Schemathesis.",
    )
    parser.add_argument("--url", help="of a running gateway; otherwise one is started")
    parser.add_argument("--token", help="with --url: of an employee of its CRM")
    parser.add_argument(
        "--examples", type=int, default=EXAMPLES, help="requests of each operation, at most"
    )
    parser.add_argument("--seed", type=int, help="repeat a run")
    parser.add_argument("--phases", default=PHASES)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
