"""An attack in a process of its own, from the start of a block until its end.

scenarios/innocent.py ─▶ here ─▶ `python -m loadtests.attacks`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from loadtests.attacks.plan import AttackPlan, AttackTally

ROOT = Path(__file__).parents[1]
LEAVE_S = 30.0


@asynccontextmanager
async def attack(plan: AttackPlan) -> AsyncIterator[AttackTally]:
    """Attack as planned; the AttackTally is filled after the block. RuntimeError when it failed."""
    tally = AttackTally()
    with tempfile.TemporaryDirectory(prefix="gateway-attack-") as directory:
        path = Path(directory) / "plan.json"
        plan.write(path)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadtests.attacks", str(path)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if await process.stdout.readline() != b"in\n":
                raise RuntimeError(f"the attack {plan.kind} did not begin")
            yield tally
            process.stdin.close()
            async with asyncio.timeout(LEAVE_S):
                said = await process.stdout.read()
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode:
        raise RuntimeError(f"the attack {plan.kind} failed")
    for name, value in orjson.loads(said).items():
        setattr(tally, name, value)
