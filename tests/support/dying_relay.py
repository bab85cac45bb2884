"""`python -m tests.support.dying_relay DSN STATEMENT MOMENT`: a relay that is killed there."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Collection

from gateway.bus import Announcement
from gateway.events.relay import Relay
from tests.support.job_tools import dying_at, open_jobs


async def main(dsn: str, statement: str, moment: str) -> None:
    def publish(_announcements: Collection[Announcement]) -> None:
        if statement == "announce":
            os.kill(os.getpid(), signal.SIGKILL)

    async with open_jobs(dsn) as jobs:
        connect = dying_at(jobs, statement, moment)
        await asyncio.wait_for(Relay(connect, publish, poll_s=0.01).run(), 30)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3]))
