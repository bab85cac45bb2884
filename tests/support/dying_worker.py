"""`python -m tests.support.dying_worker DSN NOTES STATEMENT MOMENT`: a worker that is killed there.

NOTES is a file: each run of a job adds a line with its id.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.jobs import Again, Dead, Failed, Job, Outcome, Schedule
from tests.support.job_tools import KIND, dying_at, open_jobs

LEASE_S = 1.0
ENDS: dict[str, Outcome] = {
    "again": Again({"end": "done"}),
    "retry": Failed("tests.failed", 0.0),
    "dead": Dead("tests.failed"),
}


async def main(dsn: str, notes: Path, statement: str, moment: str) -> None:
    async def run(job: Job) -> Outcome | None:
        with notes.open("a") as file:
            file.write(f"{job.id}\n")
        if job.payload.get("end") == "slow":
            await asyncio.sleep(2 * LEASE_S)
        return ENDS.get(job.payload.get("end", "done"))

    async with open_jobs(dsn) as jobs:
        planned = [Schedule(KIND, every_s=3_600)] if statement.startswith("schedules") else []
        worker = jobs.worker(
            run, connect=dying_at(jobs, statement, moment), lease_s=LEASE_S, planned=planned
        )
        async with worker:
            await asyncio.sleep(30)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
