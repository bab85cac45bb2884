"""Rates, user rates, connections and admission: what limits promise, by a clock of the test."""

from __future__ import annotations

import asyncio
import random
from typing import get_args, get_type_hints

import pytest
from pydantic import ValidationError

from gateway import commands
from gateway.limits import AdmissionQueue, Bucket, Rate, UserConnections, UserRate
from gateway.limits.admission_queue import MAX_RETRY_S
from gateway.limits.connections import ELSEWHERE_TTL_S
from gateway.protocol import COMMANDS, Device
from gateway.protocol.declaration import COMMAND_DECLARATIONS
from gateway.setting_lists import DEVICE_KINDS
from gateway.settings import Settings
from gateway.sockets.session import session_commands
from gateway.sockets.session.device_claim import DeviceClaim

NOW = 1_000_000.0
"""A machine that has been up for a while: fractions of a second are no longer exact."""


@pytest.mark.parametrize("burst", [1, 5, 60, 2_000])
@pytest.mark.parametrize("per_s", [0.3, 5.0, 7.0, 2_000.0])
def test_a_rate_grants_its_burst_and_not_one_more(per_s: float, burst: int) -> None:
    """And says exactly when the next one is due."""
    rate, spent = Rate(per_s, burst), 0.0
    for _ in range(burst):
        assert rate.wait_s(spent, NOW) == 0.0
        spent = rate.spend(spent, NOW)

    wait_s = rate.wait_s(spent, NOW)

    assert wait_s == pytest.approx(1 / per_s, rel=1e-3)
    assert rate.wait_s(spent, NOW + wait_s) == 0.0
    assert rate.wait_s(spent, NOW + wait_s * 0.9) > 0.0


def test_a_rate_holds_whatever_the_rhythm() -> None:
    """In any window no more is granted than the burst and what the window refills."""
    chance = random.Random(7)
    rate, spent, now = Rate(10.0, 20), 0.0, NOW
    granted: list[float] = []
    for _ in range(20_000):
        now += chance.choice((0.0, 0.0, 0.001, 0.02, 1.0))
        if not rate.wait_s(spent, now):
            spent = rate.spend(spent, now)
            granted.append(now)

    for first in range(0, len(granted), 50):
        for last in range(first, min(first + 500, len(granted)), 7):
            seconds = granted[last] - granted[first]
            assert last - first + 1 <= 20 + seconds * 10.0 + 1


def test_a_bucket_begins_full() -> None:
    """The burst is there at once; then there is a wait."""
    bucket = Bucket(0.001, 3)

    assert [bucket.acquire() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert 900 < bucket.acquire() <= 1_000


def test_each_user_has_a_rate_and_is_deleted_when_idle() -> None:
    """One user's use costs no other; what has nothing to remember is dropped."""
    rate = UserRate(10.0, 2)
    assert [rate.acquire(1, NOW) for _ in range(2)] == [0.0, 0.0]
    assert rate.acquire(1, NOW) > 0
    assert rate.acquire(2, NOW) == 0.0

    assert rate.pop_unreported() == {1: 2, 2: 1}
    assert rate.pop_unreported() == {}
    rate.expire(NOW + 0.15)
    assert len(rate) == 1, "who would have less than everything is remembered"
    rate.expire(NOW + 0.25)
    assert len(rate) == 0


def test_a_large_command_is_made_up_for_by_waiting() -> None:
    """What it counts beyond one is granted at once, and what follows waits for all of it."""
    rate = UserRate(10.0, 5)
    assert rate.acquire(1, NOW) == 0.0
    rate.charge(1, NOW, 20)

    assert rate.acquire(1, NOW) == pytest.approx(2.1 - 0.4)
    assert rate.acquire(2, NOW) == 0.0
    assert rate.acquire(1, NOW + 1.8) == 0.0
    assert rate.pop_unreported() == {1: 22, 2: 1}


def test_use_that_was_not_reported_is_not_forgotten() -> None:
    """However long ago: other nodes are yet to hear of it."""
    rate = UserRate(10.0, 2)
    rate.acquire(1, NOW)
    rate.expire(NOW + 100)

    assert rate.pop_unreported() == {1: 1}


def test_who_used_it_up_elsewhere_waits_here() -> None:
    """And only until then, whatever comes in an earlier answer."""
    rate = UserRate(10.0, 2)
    rate.block({1: NOW + 3.0})
    rate.block({1: NOW + 2.0})

    assert rate.acquire(1, NOW) == pytest.approx(3.0)
    assert rate.acquire(1, NOW + 3.0) == 0.0
    rate.pop_unreported()
    rate.expire(NOW + 4.0)
    assert len(rate) == 0


def test_connections_are_counted_here_and_believed_elsewhere() -> None:
    """What other nodes hold counts while it is fresh."""
    connections = UserConnections(3)
    assert [connections.acquire(1, NOW) for _ in range(4)] == [True, True, True, False]
    connections.release(1)
    assert connections.pop_changed() == {1: 3}

    assert connections.update_elsewhere(1, 2, NOW) == 1, "by so many it is too many"
    assert not connections.acquire(1, NOW)
    assert connections.pop_changed() == {1: 0}, "a refusal has it asked again"
    assert connections.acquire(1, NOW + ELSEWHERE_TTL_S), "others may have left"
    connections.expire(NOW + ELSEWHERE_TTL_S)
    assert connections.update_elsewhere(1, 0, NOW) == 0
    for _ in range(3):
        connections.release(1)
    assert connections.held_here(1) == 0


def test_a_replacing_connection_is_let_in() -> None:
    """A device that reconnects is not in its own way."""
    connections = UserConnections(1)
    assert connections.acquire(1, NOW)
    assert not connections.acquire(1, NOW)
    assert connections.acquire(1, NOW, replacing=True)
    connections.release(1)
    assert connections.held_here(1) == 1


def test_a_report_that_failed_is_made_again() -> None:
    """With whoever came and went since."""
    connections = UserConnections(9)
    connections.acquire(1, NOW)
    connections.acquire(2, NOW)
    failed = connections.pop_changed()
    connections.acquire(1, NOW)

    connections.report_again(failed)

    assert connections.pop_changed() == {1: 2, 2: 1}
    connections.report_again({})
    assert connections.pop_changed() == {}
    connections.report_again()
    assert connections.pop_changed() == {1: 0, 2: 0}


async def test_slots_come_in_order_and_so_many_at_once() -> None:
    """First come, first served; a failed turn frees its place."""
    queue = AdmissionQueue(2, 5.0)
    order: list[int] = []
    inside = most = 0

    async def take(number: int) -> None:
        nonlocal inside, most
        async with queue.slot():
            order.append(number)
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
            if number % 3 == 0:
                raise ValueError(number)

    await asyncio.gather(*(take(number) for number in range(20)), return_exceptions=True)

    assert order == list(range(20))
    assert most == 2
    assert queue.waiting == 0


async def test_who_gives_up_waiting_holds_no_place() -> None:
    """A cancelled wait leaves queue and slots as they were."""
    queue = AdmissionQueue(1, 5.0)
    async with queue.slot():
        waits = asyncio.create_task(anext(aiter(_slot(queue))))
        await asyncio.sleep(0)
        assert queue.waiting == 1
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        assert queue.waiting == 0
    async with asyncio.timeout(5), queue.slot():
        pass


async def _slot(queue: AdmissionQueue):  # type: ignore[no-untyped-def]
    async with queue.slot():
        yield


def test_appointments_are_spread_and_bounded() -> None:
    """Everyone beyond the queue gets a time of their own, none too far away."""
    queue = AdmissionQueue(10, 1.0)
    queue._each_s = 0.1
    queue.waiting = 100
    assert queue.retry_after_s(NOW) == 0.0, "1.0 s is not too long"
    queue.waiting = 101

    times = [queue.retry_after_s(NOW) for _ in range(2_000)]

    assert 0.9 < times[0] < 1.2
    assert 5.0 < times[500] < 7.5, "500 of them, 10 at once, 0.1 s each"
    assert max(times) <= MAX_RETRY_S
    far = times[-500:]
    assert min(far) >= MAX_RETRY_S / 2
    assert max(far) - min(far) > MAX_RETRY_S / 4
    queue.waiting = 0
    assert queue.retry_after_s(NOW) == 0.0


def test_of_two_rivals_exactly_one_is_older() -> None:
    """Also when they came in the same millisecond."""
    first = DeviceClaim(1_000, "aa", "softphone", "left")
    second = DeviceClaim(1_000, "bb", "softphone", "right")

    assert first.rivals(second, {"softphone"})
    assert second.rivals(first, {"softphone"})
    assert (first < second) != (second < first)
    assert not first.rivals(first, {"softphone"})
    assert not first.rivals(second, set())
    assert first.rivals(DeviceClaim(2_000, "cc", "web", "left"), set()), "the same device"


def test_every_command_has_a_class() -> None:
    """And exactly what only reads may be overtaken."""
    assert set(commands.HANDLERS) == set(COMMANDS)
    reads = {name for name, declared in COMMAND_DECLARATIONS.items() if declared.cost == "read"}
    assert reads == {
        "attachment.get", "message.history", "message.thread", "message.changes", "message.search",
        "message.scheduled_list", "employee.search", "draft.list", "receipt.readers",
        "conversation.list", "conversation.get", "conversation.participants", "call.list",
        "callback.list", "unread.get", "queue.watch", "topic.watch", "topic.unwatch",
    }  # fmt: skip
    overtaken = {name for name in COMMANDS if not commands.handler_of(name).changes}
    assert overtaken == reads - {"queue.watch", "topic.watch", "topic.unwatch"}
    weighed = {name for name in COMMANDS if commands.handler_of(name).work is not None}
    assert weighed == {"presence.watch", "queue.watch", "topic.watch"}
    unserved = {name for name in COMMANDS if commands.handler_of(name).serve is None}
    assert unserved == {"ping", "pong"}, "sessions answer these before any limit"
    session_commands.check_served()
    assert {name for name in COMMANDS if commands.handler_of(name).by_session} == {
        "hello", "token.refresh", "presence.watch", "presence.away", "queue.watch",
        "topic.watch", "topic.unwatch",
    }  # fmt: skip


def test_settings_know_the_kinds_of_device_that_clients_may_be() -> None:
    """A kind that no client can name is refused at the start."""
    assert set(get_args(get_type_hints(Device)["kind"])) == DEVICE_KINDS
    assert Settings(replaced_kinds="softphone, mobile").replaced_kinds == (
        "softphone",
        "mobile",
    )
    assert Settings(replaced_kinds="").replaced_kinds == ()
    with pytest.raises(ValidationError, match="fax"):
        Settings(replaced_kinds=("fax",))
