"""A timeout for another server's answer is not used up by this process's own standstills."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from presence.stall_safe_timeout import stall_safe_timeout

LIMIT_S = 0.2


async def ask_during_stalls(stalls: int, each_s: float) -> bytes:
    """Wait for an answer that comes in the last of so many stalls of the event loop."""
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    here.setblocking(False)

    def stall(left: int) -> None:
        time.sleep(each_s)
        if left == 1:
            there.send(b"the answer")
        else:
            loop.call_later(0.001, stall, left - 1)

    with here, there:
        async with stall_safe_timeout(LIMIT_S):
            loop.call_soon(stall, stalls)
            return await loop.sock_recv(here, 100)


@pytest.mark.parametrize(
    ("stalls", "each_s"), [(1, LIMIT_S * 1.2), (2, LIMIT_S * 0.6), (4, LIMIT_S * 0.3)]
)
async def test_an_answer_that_came_while_the_process_stood_still_is_no_timeout(
    stalls: int, each_s: float
) -> None:
    """A process that gets a processor now and then must not take that for a slow server."""
    assert await ask_during_stalls(stalls, each_s) == b"the answer"


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    """And the wait for it is cancelled."""
    with pytest.raises(TimeoutError):
        async with stall_safe_timeout(0.01):
            await asyncio.Event().wait()
