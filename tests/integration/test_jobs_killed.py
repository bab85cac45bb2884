"""A worker that dies, or is cut off, at any statement: every job ends, and once."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from gateway.jobs import Dead, Failed, Job, Outcome
from gateway.jobs import worker as worker_module
from tests.docs.pages import ROOT
from tests.support.desk import eventually
from tests.support.job_tools import KIND, Jobs, cut_at, new

ENDS = ["done", "again", "retry", "dead"]

STATEMENTS = {
    "claims.claim": "done",
    "claims.finish": "done",
    "claims.finish_keyed": "keyed",
    "claims.put_back": "again",
    "claims.renew": "slow",
    "dead.bury": "dead",
    "schedules.declare": "scheduled",
    "schedules.due": "scheduled",
    "schedules.fire": "scheduled",
}
"""Every statement of a worker's → how the job ends at whose it stands."""


def orders(end: str) -> list[str]:
    """Return how the jobs end that are ordered for this statement, and the others."""
    return [end, *ENDS]


async def order(jobs: Jobs, end: str) -> int:
    """Order jobs of every kind of end; return how many."""
    ends = orders(end)
    await jobs.order(
        *(
            new("keyed" if one == "keyed" else None, payload={"end": one, "number": number})
            for number, one in enumerate(ends)
        )
    )
    return len(ends)


async def settle(jobs: Jobs, ran: list[int]) -> None:
    """Let a healthy worker end what is there."""

    async def run(job: Job) -> Outcome | None:
        ran.append(job.id)
        return Dead("tests.failed") if job.payload.get("end") == "dead" else None

    async with jobs.worker(run):
        await eventually(lambda: gone(jobs), timeout_s=30)


async def gone(jobs: Jobs) -> bool:
    await jobs.sql("UPDATE realtime.jobs SET run_at = now() WHERE run_at > now()")
    return not await jobs.rows()


async def check(jobs: Jobs, statement: str, ordered: list[int], ran: list[int]) -> None:
    """Each job has run; of those that die there is one letter each; a schedule ordered one run."""
    deaths = orders(STATEMENTS[statement]).count("dead")
    planned = await jobs.rows_of_schedules()

    assert set(ordered) <= set(ran)
    assert len(await jobs.rows("dead_jobs")) == deaths
    if statement.startswith("schedules"):
        extra = set(ran) - set(ordered)
        assert len(extra) <= 1
        assert len(planned) == 1 or statement == "schedules.declare"
        fired = [row for row in planned if row["next_at"] > row["at"]]
        assert len(fired) == len(extra)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("statement", STATEMENTS)
async def test_a_worker_killed_at_a_statement_loses_no_job(
    database: str, jobs: Jobs, tmp_path: Path, statement: str, moment: str
) -> None:
    """A process, killed by SIGKILL; another worker does what it left when its leases end."""
    await order(jobs, STATEMENTS[statement])
    ordered = [row["id"] for row in await jobs.rows()]
    notes = tmp_path / "notes"
    notes.touch()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.dying_worker", database, str(notes), statement, moment,
        cwd=ROOT,
    )  # fmt: skip

    assert await process.wait() == -signal.SIGKILL
    ran = [int(line) for line in notes.read_text().split()]
    await settle(jobs, ran)
    await check(jobs, statement, ordered, ran)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("statement", ["claims.claim", "claims.finish", "claims.finish_keyed",
                                       "claims.put_back", "dead.bury"])  # fmt: skip
async def test_a_worker_that_is_cut_off_at_a_statement_goes_on(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, statement: str, moment: str
) -> None:
    """PostgreSQL ends the connection: whether the statement was done, the worker cannot know."""
    monkeypatch.setattr(worker_module, "AGAIN_S", 0.01)
    monkeypatch.setattr(worker_module, "POLL_S", 0.1)
    await order(jobs, STATEMENTS[statement])
    ordered = [row["id"] for row in await jobs.rows()]
    ran: list[int] = []

    async def run(job: Job) -> Outcome | None:
        ran.append(job.id)
        end = job.payload.get("end")
        if end == "dead":
            return Dead("tests.failed")
        return Failed("tests.failed", 0.0) if end == "again" and ran.count(job.id) == 1 else None

    async with jobs.worker(run, connect=cut_at(jobs, statement, moment), lease_s=1.0):
        await eventually(lambda: gone(jobs), timeout_s=30)

    await check(jobs, statement, ordered, ran)
    if statement != "claims.claim":  # there the lease of all must end first
        assert len(ran) <= len(ordered) + 2


async def test_a_job_that_kills_its_workers_is_dead_after_three(jobs: Jobs) -> None:
    """The claim counts: no worker has to live to say that the job was tried."""
    ran: list[int] = []

    async def run(job: Job) -> None:
        ran.append(job.id)

    await jobs.order(new(payload={"poison": True}))
    for lost in range(3):
        [job] = await jobs.claim(lease_s=-1)
        assert (job.lost, job.failures) == (lost, lost + 1)
    async with jobs.worker(run) as worker:
        await eventually(lambda: gone(jobs))
    [letter] = await jobs.rows("dead_jobs")

    assert ran == []
    assert (letter["error_code"], letter["lost"]) == ("lost", 3)
    assert letter["payload"] == {"poison": True}
    assert worker.dead == {KIND: 1}
