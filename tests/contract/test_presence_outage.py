"""Redis slow, away, or back without its memory: presence is frozen, and nobody is sent offline."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from gateway.embedded import start_valkey
from presence import RedisPresence, StoreUnavailable
from presence.link import RedisLink
from tests.contract.presence_nodes import FAST, ChangeRecorder, Nodes, abandon, eventually, nodes_at

ANNA, BORIS = 1, 2
LONG_S = 2 * FAST.command_timeout_s + FAST.grace_s  # every command and every grace ends meanwhile


@pytest.fixture
async def pair(nodes: Nodes) -> tuple[RedisPresence, RedisPresence, ChangeRecorder]:
    """Give two nodes and what either announces."""
    return await nodes.open("a"), await nodes.open("b"), nodes.recorder


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """Give a directory in which a restarted Valkey has the socket it had before."""
    with tempfile.TemporaryDirectory(prefix="presence-") as directory:
        yield Path(directory)


async def _pause(url: str, seconds: float) -> None:
    async with Redis.from_url(url) as redis:
        await redis.client_pause(round(seconds * 1000))


async def test_a_paused_redis_freezes_presence_and_sends_nobody_offline(nodes: Nodes) -> None:
    """Longer than lease and grace: afterwards everyone is as before, and arrivals are told."""
    short = replace(FAST, lease_ttl_s=3.0)
    first, second = [await nodes.open(name, settings=short) for name in "ab"]
    recorder = nodes.recorder
    await first.arrive(ANNA, "web")
    await second.arrive(BORIS, "web")
    before = await first.fetch([ANNA, BORIS])

    await _pause(nodes.url, short.lease_ttl_s + short.grace_s + 0.4)
    frozen = await first.fetch([ANNA, BORIS])
    assert frozen == before
    assert first.degraded  # it did not wait for Redis
    with pytest.raises(StopIteration) as ended:
        first.arrive(3, "web").send(None)
    assert ended.value.value is None  # once degraded, nobody waits at all

    await recorder.until((3, "online"))
    await eventually(lambda: not (first.degraded or second.degraded))
    assert (await second.fetch([ANNA, BORIS])) == before
    assert recorder.count("offline").total() == 0
    assert recorder.of(3) == ["online"]


async def test_those_who_left_during_the_outage_go_offline_after_it(
    pair: tuple[RedisPresence, RedisPresence, ChangeRecorder], redis_url: str
) -> None:
    """What happened while Redis was away is told once it is back."""
    first, second, recorder = pair
    await first.arrive(ANNA, "web")
    await second.arrive(BORIS, "web")
    await _pause(redis_url, LONG_S)
    await eventually(lambda: first.degraded and second.degraded)

    await first.leave(ANNA, "web")

    await recorder.until((ANNA, "offline"))
    assert recorder.of(ANNA) == ["online", "offline"]
    assert recorder.of(BORIS) == ["online"]


async def test_a_choice_during_the_outage_is_refused(
    pair: tuple[RedisPresence, RedisPresence, ChangeRecorder], redis_url: str
) -> None:
    """It is not kept for later; one that was stored after all is announced."""
    first, _, recorder = pair
    await first.arrive(ANNA, "web")
    await _pause(redis_url, 2 * FAST.command_timeout_s)

    with pytest.raises(StoreUnavailable):
        await first.choose(ANNA, "busy", None)

    await eventually(lambda: not first.degraded)
    seen = (await first.fetch([ANNA]))[ANNA]
    if seen.status == "busy":  # Redis had it in its buffer before we gave up
        await recorder.until((ANNA, "busy"))
    assert (await first.choose(ANNA, "away", None)).status == "away"


async def test_a_call_during_the_outage_is_told_afterwards(
    pair: tuple[RedisPresence, RedisPresence, ChangeRecorder], redis_url: str
) -> None:
    """Telephony reports once and does not wait."""
    first, _, recorder = pair
    await first.arrive(ANNA, "web")
    await _pause(redis_url, 2 * FAST.command_timeout_s)
    await eventually(lambda: first.degraded)

    assert await first.set_on_call(ANNA, "c1", talking=True) is None

    await recorder.until((ANNA, "on_call"))
    assert recorder.of(ANNA) == ["online", "on_call"]


async def test_redis_back_with_nothing_in_it_hears_everything_again(short_dir: Path) -> None:
    """A killed server that kept nothing on disk: the nodes know whom they hold."""
    people = range(1, 301)
    server = start_valkey(short_dir)
    async with AsyncExitStack() as stack:
        stack.callback(server.stop)
        nodes = await stack.enter_async_context(nodes_at(server.url))
        stores = [await nodes.open("a"), await nodes.open("b")]
        await asyncio.gather(*(stores[user % 2].arrive(user, "web") for user in people))
        before = await stores[0].fetch(people)

        server.stop()
        await eventually(lambda: all(store.degraded for store in stores))
        assert await stores[0].fetch(people) == before
        with start_valkey(short_dir) as again:
            assert again.url == server.url
            await eventually(lambda: not any(store.degraded for store in stores))
            after = await stores[0].fetch(people)

            assert {one.status for one in after.values()} == {"online"}
            assert nodes.recorder.count("offline").total() == 0
            assert all(after[user].version > before[user].version for user in people)
            for store in stores:
                await store.close()


async def test_who_left_while_redis_lost_its_memory_is_offline_in_the_end(short_dir: Path) -> None:
    """Nobody holds them, and no node can announce it: the version says that Redis is certain."""
    async with AsyncExitStack() as stack:
        server = start_valkey(short_dir)
        stack.callback(server.stop)
        nodes = await stack.enter_async_context(nodes_at(server.url))
        first, second = [await nodes.open(name, settings=FAST) for name in "ab"]
        await first.arrive(ANNA, "web")
        await second.arrive(BORIS, "web")
        before = await second.fetch([ANNA, BORIS])

        server.stop()
        await eventually(lambda: first.degraded and second.degraded)
        await first.leave(ANNA, "web")
        await eventually(lambda: first.owned.next_expiry() is None)
        stack.enter_context(start_valkey(short_dir))
        await eventually(lambda: not (first.degraded or second.degraded))
        meanwhile = await second.fetch([ANNA, BORIS])
        await eventually(lambda: second.default_version > before[ANNA].version)
        after = await second.fetch([ANNA, BORIS])

        assert meanwhile[ANNA].version in {0, after[ANNA].version}  # nobody is contradicted early
        assert after[ANNA].status == "offline"
        assert after[ANNA].version > before[ANNA].version
        assert after[BORIS].status == "online"
        assert nodes.recorder.count("offline").total() == 0
        assert (await first.fetch([ANNA])) == {ANNA: after[ANNA]}


async def test_a_node_closes_when_its_connection_is_lost_at_the_same_moment(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11's wait_for gives the error that it waited for, and swallows the cancellation."""
    store = await nodes.open("a")
    waiting = asyncio.Event()

    async def lose_connection(*_: object) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RedisConnectionError("lost") from None

    monkeypatch.setattr(RedisLink, "_evaluate", lose_connection)
    await waiting.wait()

    async with asyncio.timeout(5):
        await store.close()


async def test_a_loop_that_stood_still_is_no_slow_redis(
    pair: tuple[RedisPresence, RedisPresence, ChangeRecorder],
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer came while nobody could read it, and so did the end of the waiting."""
    first, _, _ = pair
    failures: list[str] = []
    monkeypatch.setattr(RedisLink, "fail", lambda _, why: failures.append(why))
    await first.arrive(ANNA, "web")
    await _pause(redis_url, 0.2)
    looking = asyncio.create_task(first.fetch([ANNA]))
    await asyncio.sleep(0.02)  # the question is on its way, and its answer comes in the stall

    time.sleep(FAST.command_timeout_s + 0.1)  # noqa: ASYNC251 - this is the stall

    assert (await looking)[ANNA].status == "online"
    assert failures == []


async def test_whoever_had_no_answer_does_not_give_up_the_others(nodes: Nodes) -> None:
    """They may have had none either: each gets one lease, and another once it renewed that."""
    # Here they renew only when they are told to.
    calm = replace(FAST, lease_ttl_s=30.0, renew_s=29.0, grace_s=5.0)
    survivor, other = await nodes.open("a", settings=calm), await nodes.open("b", settings=calm)
    await other.arrive(BORIS, "web")
    await abandon(other)
    name, leases = other.link.incarnation, "{presence}:nodes"
    full_s = calm.lease_ttl_s - 0.01  # Redis counts whole milliseconds

    async def left_s_after_return(overdue_s: float) -> float | None:
        """Say how much of a lease that had run out is left when the survivor is back."""
        now_ms = time.time() * 1000
        await nodes.redis.zadd(leases, {name: now_ms - overdue_s * 1000})
        survivor.link.fail("a test")
        await eventually(lambda: not survivor.degraded)
        ends_ms = await nodes.redis.zscore(leases, name)
        return None if ends_ms is None else (ends_ms - now_ms) / 1000

    assert (await left_s_after_return(0.1) or 0) >= full_s
    await other._lease.renew()
    assert (await left_s_after_return(0.1) or 0) >= full_s
    assert (await left_s_after_return(0.1) or 0) < 0  # it has not renewed since
    assert (await survivor.fetch([BORIS]))[BORIS].status == "online"
    assert nodes.recorder.of(BORIS) == ["online"]

    assert await left_s_after_return(calm.grace_s) is None
    await nodes.recorder.until((BORIS, "offline"))


async def _remember(redis: Redis) -> dict[Any, Any]:
    """Take a snapshot."""
    return {key: await redis.dump(key) for key in await redis.keys("*")}


async def _go_back_to(redis: Redis, snapshot: dict[Any, Any]) -> None:
    """Have what was written since be lost, as after a crash or on a replica that lagged."""
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.flushdb()
        for key, value in snapshot.items():
            pipeline.restore(key, 0, value)
        await pipeline.execute()


async def test_a_redis_with_older_data_is_told_everything_again(nodes: Nodes) -> None:
    """Who left, came or chose in what it has forgotten is shown as they are in the end."""
    first, second = [await nodes.open(name, settings=FAST) for name in "ab"]
    carol, dan = 3, 4
    for user in (ANNA, BORIS, carol):
        await first.arrive(user, "web")
    before_reset = first.link.incarnation, second.link.incarnation
    await eventually(lambda: first.default_version > 0)
    snapshot = await _remember(nodes.redis)
    await first.leave(ANNA, "web")
    await nodes.recorder.until((ANNA, "offline"))
    await first.choose(BORIS, "do_not_disturb", "focus")
    await second.arrive(dan, "web")
    before = await second.fetch([ANNA, BORIS, carol, dan])

    await _go_back_to(nodes.redis, snapshot)
    await eventually(
        lambda: (
            before_reset[0] != first.link.incarnation and before_reset[1] != second.link.incarnation
        )
    )
    await eventually(lambda: second.default_version > before[dan].version)
    await eventually(lambda: not (first.degraded or second.degraded))

    async def is_right() -> bool:
        after = await first.fetch(before)
        newer = all(after[user].version > one.version for user, one in before.items())
        shown = [after[user].status for user in before]
        right = newer and shown == ["offline", "online", "online", "online"]
        return right and after == await second.fetch(before)

    await eventually(is_right)  # the choice is lost, and everybody learns it


async def test_presence_may_begin_before_redis_does(short_dir: Path) -> None:
    """A node opens degraded and takes part when Redis comes."""
    with start_valkey(short_dir) as once:
        url = once.url
    async with nodes_at(url) as nodes:
        store = await nodes.open("a")
        assert store.degraded
        assert await store.arrive(ANNA, "web") is None

        with start_valkey(short_dir) as again:
            assert again.url == url
            await nodes.recorder.until((ANNA, "online"))
            await eventually(lambda: not store.degraded)
            await store.close()


async def test_a_lost_answer_loses_no_announcement(
    pair: tuple[RedisPresence, RedisPresence, ChangeRecorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis applied the change and the connection broke: the repetition announces it, once."""
    first, _, recorder = pair

    _lose_one_answer(monkeypatch, "own")
    await first.arrive(ANNA, "web")
    await recorder.until((ANNA, "online"))
    await eventually(lambda: not first.degraded)

    assert recorder.of(ANNA) == ["online"]
    assert (await first.fetch([ANNA]))[ANNA] == recorder.changes[0]


async def test_a_choice_whose_answer_was_lost_is_announced_all_the_same(
    pair: tuple[RedisPresence, RedisPresence, ChangeRecorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one who chose is told to try again; the others see what was stored."""
    first, _, recorder = pair
    await first.arrive(ANNA, "web")

    _lose_one_answer(monkeypatch, "choose")
    with pytest.raises(StoreUnavailable):
        await first.choose(ANNA, "busy", None)

    await recorder.until((ANNA, "busy"))


def _lose_one_answer(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    pipeline = RedisLink._pipeline

    async def loses_one(self: RedisLink, calls: list[tuple[Any, ...]]) -> list[Any]:
        answers = await pipeline(self, calls)
        if calls[0][0] == script and not isinstance(answers[0], NoScriptError):
            monkeypatch.setattr(RedisLink, "_pipeline", pipeline)
            raise ConnectionResetError
        return answers

    monkeypatch.setattr(RedisLink, "_pipeline", loses_one)


async def test_what_other_nodes_announce_is_shown_while_redis_is_away(
    pair: tuple[RedisPresence, RedisPresence, ChangeRecorder], redis_url: str
) -> None:
    """The last known state includes what came over the bus, and never goes back to an older one."""
    first, second, recorder = pair
    await second.arrive(BORIS, "web")
    await second.choose(BORIS, "busy", None)
    online, busy = recorder.changes
    first.merge_remote([busy])
    first.merge_remote([online])
    await _pause(redis_url, 2 * FAST.command_timeout_s)

    assert await first.fetch([BORIS]) == {BORIS: busy}
    await eventually(lambda: not (first.degraded or second.degraded))
