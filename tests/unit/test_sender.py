"""A client's outgoing queue: one write a turn, lanes when slow, an end when too slow."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.delivery import lanes
from gateway.sockets.outgoing.sender import HIGH_WATER, Cork, Sender
from gateway.sockets.outgoing.slow_reader_queue import MAX_SUBJECTS


class FakeTransport:
    """Notes what was written; becomes full when told."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))

    def get_extra_info(self, _name: str) -> None:
        """Have no socket."""

    def set_write_buffer_limits(self, high: int) -> None: ...


class Bench:
    def __init__(self, *, limit: int = 1_000_000) -> None:
        self.transport = FakeTransport()
        self.cork = Cork()
        self.overflowed = 0
        self.sender = Sender(
            cast(Any, self.transport), self.cork, limit_bytes=limit, on_overflow=self._overflow
        )

    def _overflow(self) -> None:
        self.overflowed += 1


async def turn() -> None:
    """Let the event loop go round."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_frames_of_one_turn_leave_in_one_write() -> None:
    """In the order they came."""
    bench = Bench()

    for frame in (b"1", b"2", b"3"):
        bench.sender.send(frame)
    await turn()
    bench.sender.send(b"4")
    await turn()

    assert bench.transport.writes == [b"123", b"4"]
    assert (bench.cork.writes, bench.cork.frames, bench.cork.bytes_out) == (2, 4, 4)


async def test_what_waits_leaves_by_urgency() -> None:
    """Calls before replies before messages before receipts before the rest; order within each."""
    bench = Bench()
    bench.sender.pause()
    for frame, lane in (
        (b"t", lanes.PASSING), (b"r1", lanes.RECEIPT), (b"m1", lanes.MESSAGE),
        (b"a", lanes.REPLY), (b"m2", lanes.MESSAGE), (b"c", lanes.CALL), (b"r2", lanes.RECEIPT),
    ):  # fmt: skip
        bench.sender.send(frame, lane)

    assert bench.transport.writes == []
    bench.sender.resume()

    assert bench.transport.writes == [b"cam1m2r1r2t"]
    assert bench.sender.waiting_bytes == 0


async def test_passing_frames_keep_the_newest_of_each_subject() -> None:
    """And are bounded in number; they never count against the client."""
    bench = Bench(limit=10)
    bench.sender.pause()
    for number in range(1_000):
        bench.sender.send(b"typing-%d" % number, lanes.PASSING, number % 2)
    bench.sender.resume()

    assert bench.transport.writes == [b"typing-998typing-999"]
    assert bench.cork.dropped[lanes.PASSING] == 998
    bench.sender.pause()
    for number in range(MAX_SUBJECTS + 10):
        bench.sender.send(b"x", lanes.PASSING, number)
    bench.sender.resume()
    assert bench.transport.writes[-1] == b"x" * MAX_SUBJECTS
    assert bench.overflowed == 0


async def test_more_than_may_wait_ends_it_once_and_not_at_once() -> None:
    """The hub may be walking through its listeners: the end comes in the next turn."""
    bench = Bench(limit=100)
    bench.sender.pause()

    for _ in range(50):
        bench.sender.send(b"x" * 10, lanes.MESSAGE)
    assert bench.overflowed == 0
    await turn()

    assert bench.overflowed == 1
    assert bench.sender.waiting_bytes == 0


async def test_a_backlog_is_written_in_pieces() -> None:
    """So that an urgent frame that comes meanwhile still overtakes most of it."""
    bench = Bench(limit=10_000_000)
    bench.sender.pause()
    for _ in range(100):
        bench.sender.send(b"m" * 10_000, lanes.MESSAGE)

    def fills_up(data: Any) -> None:
        write(data)
        bench.sender.pause()

    write = bench.transport.write
    bench.transport.write = fills_up  # type: ignore[method-assign]
    bench.sender.resume()
    bench.sender.send(b"call", lanes.CALL)
    bench.sender.resume()

    assert len(bench.transport.writes[0]) < HIGH_WATER + 10_000
    assert bench.transport.writes[1].startswith(b"call")


async def test_pongs_stop_while_the_socket_is_full() -> None:
    """A flood of pings from a client that does not read costs nothing."""
    bench = Bench()
    assert bench.sender.write_control(b"pong")
    bench.sender.pause()

    assert not any(bench.sender.write_control(b"pong") for _ in range(1_000))
    assert bench.transport.writes == [b"pong"]


@pytest.mark.parametrize("full", [True, False])
async def test_nothing_follows_the_farewell(full: bool) -> None:
    """What had been collected goes first, if there is room; then the end."""
    bench = Bench()
    bench.sender.send(b"1")
    if full:
        bench.sender.pause()

    bench.sender.write_last(b"bye")
    bench.sender.send(b"2")
    bench.sender.resume()
    await turn()

    assert b"".join(bench.transport.writes) == (b"bye" if full else b"1bye")


async def test_who_reads_slowly_but_steadily_is_kept() -> None:
    """What waits is what counts, not what has waited since the queue was last empty."""
    size = HIGH_WATER + 1
    bench = Bench(limit=5 * size)
    write = bench.transport.write

    def fill(data: bytes) -> None:
        write(data)
        bench.sender.pause()

    bench.transport.write = fill  # type: ignore[method-assign]
    bench.sender.pause()
    for _ in range(3):
        bench.sender.send(bytes(size), lanes.MESSAGE)
    for _ in range(20):
        bench.sender.send(bytes(size), lanes.MESSAGE)
        bench.sender.resume()
    await turn()

    assert (bench.overflowed, bench.sender.waiting_bytes) == (0, 3 * size)
    assert len(bench.transport.writes) == 20


async def test_a_socket_that_fails_costs_no_other_its_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither those of this turn, nor of any later one."""
    failing, other = Bench(), Bench()
    other.sender = Sender(
        cast(Any, other.transport), failing.cork, limit_bytes=1_000, on_overflow=other._overflow
    )

    def fail(_: bytes) -> None:
        raise RuntimeError

    with monkeypatch.context() as closed:
        closed.setattr(failing.transport, "write", fail)
        failing.sender.send(b"1")
        other.sender.send(b"1")
        await turn()
    failing.sender.send(b"2")
    other.sender.send(b"2")
    await turn()

    assert failing.transport.writes == [b"2"]
    assert other.transport.writes == [b"1", b"2"]
