"""Several nodes on one Redis: return elsewhere, death, pause, drain, and what idling costs."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from presence import Choice, RedisPresence
from tests.contract.presence_nodes import FAST, ChangeRecorder, Nodes, abandon, eventually

ANNA = 1


async def test_a_return_on_another_node_within_the_grace_is_invisible(nodes: Nodes) -> None:
    """A load balancer may send a reload elsewhere; nobody sees it."""
    first, second = await nodes.open("a"), await nodes.open("b")
    await first.arrive(ANNA, "web")
    await first.leave(ANNA, "web")
    assert await second.arrive(ANNA, "web") is None

    await first.arrive(2, "web")  # leaves after Anna left, so its grace ends after hers
    await first.leave(2, "web")
    await nodes.recorder.until((2, "offline"))

    assert nodes.recorder.of(ANNA) == ["online"]
    await second.leave(ANNA, "web")
    await nodes.recorder.until((ANNA, "offline"))
    assert nodes.recorder.of(ANNA) == ["online", "offline"]


async def test_a_choice_made_on_one_node_is_seen_on_all(nodes: Nodes) -> None:
    """There is one state, wherever one asks."""
    first, second = await nodes.open("a"), await nodes.open("b")
    await first.arrive(ANNA, "web")
    chosen = await second.choose(ANNA, "do_not_disturb", "focus")
    await first.set_on_call(ANNA, "c1", talking=True)

    assert await first.fetch([ANNA]) == await second.fetch([ANNA]) == {ANNA: chosen}


async def test_a_killed_nodes_people_are_reaped_and_announced_once(nodes: Nodes) -> None:
    """Two survivors share the work; each person is announced offline exactly once."""
    users = range(100, 400)
    hears_b, hears_c = ChangeRecorder(), ChangeRecorder()
    survivor = await nodes.open("b", hears_b)
    await nodes.open("c", hears_c)
    victim = await nodes.process("a", users)
    moved = range(100, 110)
    await asyncio.gather(*(survivor.arrive(user, "phone") for user in moved))

    await victim.kill()
    await eventually(lambda: len(hears_b.count("offline") | hears_c.count("offline")) >= 290)
    await nodes.dead_are_reaped()

    gone = hears_b.count("offline") + hears_c.count("offline")
    assert gone == Counter(set(users) - set(moved))
    seen = await survivor.fetch(users)
    assert {user for user in users if seen[user].status == "online"} == set(moved)


async def test_a_batch_whose_reaper_died_is_announced_by_the_next(nodes: Nodes) -> None:
    """People leave the dead node's set only after they were announced."""
    store = await nodes.open("b")
    victim = await nodes.open("a", ChangeRecorder())
    await victim.arrive(ANNA, "web")
    await abandon(victim)
    dead = victim.link.incarnation
    await nodes.redis.zrem("{presence}:nodes", dead)  # given up, and not yet in its grave

    reap = ("reap", dead, 1000, 50)
    _, _, [first] = await store.link.run(*reap, nonce=f"reap/{dead}")
    _, _, [again] = await store.link.run(*reap, nonce=f"reap/{dead}")
    state, _, rows = await store.link.run(*reap, ANNA, nonce=f"reap/{dead}")

    assert again == first
    assert (state, rows) == (b"over", [])


async def test_a_paused_node_comes_back_with_its_people(nodes: Nodes) -> None:
    """A node that was taken for dead announces its people anew, with higher versions."""
    survivor = await nodes.open("b")
    sleeper = await nodes.process("a", range(1, 3))
    sleeper.pause()
    await nodes.recorder.until((1, "offline"), (2, "offline"))

    sleeper.resume()
    await sleeper.until_line("2 online")

    seen = await survivor.fetch([1, 2])
    assert [one.status for one in seen.values()] == ["online", "online"]
    assert all(one.version > nodes.recorder.versions(user)[-1] for user, one in seen.items())


async def test_whoever_was_given_up_for_a_moment_is_announced_with_a_new_version(
    nodes: Nodes,
) -> None:
    """Readers saw Anna offline while her node was late, so her return is a change to them."""
    store = await nodes.open("a")
    await store.arrive(ANNA, "web")
    future_ms = time.time() * 1000 + 60_000
    await nodes.redis.set("{presence}:reaper", "elsewhere", px=60_000)
    await nodes.redis.zadd("{presence}:nodes", {store.link.incarnation: 0, "b:1": future_ms})

    await store.arrive(2, "web")
    await nodes.recorder.until((2, "online"))
    await eventually(lambda: len(nodes.recorder.of(ANNA)) == 2)

    first, second = (one for one in nodes.recorder.changes if one.user_id == ANNA)
    assert (second.status, second.since) == (first.status, first.since)
    assert second.version > first.version
    assert (await store.fetch([ANNA]))[ANNA] == second


async def test_a_node_without_a_lease_can_own_nobody(nodes: Nodes) -> None:
    """What it wrote would never be reaped."""
    store = await nodes.open("a")

    assert await store.link.run("own", ANNA, "online", me="b:1") == b"lost"
    assert not await nodes.redis.keys("{presence}:user:*")


async def test_a_drain_is_invisible_to_those_who_move(nodes: Nodes) -> None:
    """After a planned close people have the grace to connect elsewhere; the others go offline."""
    leaving, staying = await nodes.open("a"), await nodes.open("b")
    for user in (1, 2):
        await leaving.arrive(user, "web")

    await leaving.close()
    assert {one.status for one in (await staying.fetch([1, 2])).values()} == {"online"}
    assert await staying.arrive(1, "web") is None
    await nodes.recorder.until((2, "offline"))
    await nodes.dead_are_reaped()

    assert nodes.recorder.of(1) == ["online"]
    assert nodes.recorder.of(2) == ["online", "offline"]


async def test_a_restart_under_the_same_name_is_invisible_too(nodes: Nodes) -> None:
    """A node's new incarnation does not end the grace of the old one's people."""
    before = await nodes.open("a")
    await before.arrive(ANNA, "web")
    await before.close()
    after = await nodes.open("a", settings=FAST)  # by which the old one has one lease more

    assert (await after.fetch([ANNA]))[ANNA].status == "online"
    assert await after.arrive(ANNA, "web") is None

    async def alone() -> bool:
        return await nodes.redis.zcard("{presence}:nodes") == 1

    await eventually(alone)
    await nodes.dead_are_reaped()
    assert nodes.recorder.of(ANNA) == ["online"]


async def test_whoever_applies_all_changes_knows_what_a_look_returns(nodes: Nodes) -> None:
    """Two nodes at once, in any order: versions never repeat and the highest one is the truth."""
    dice = random.Random(7)
    stores = [await nodes.open("a"), await nodes.open("b")]
    people = range(1, 6)
    choices: list[Choice | None] = [None, "busy", "away", "offline", "do_not_disturb"]

    async def live(store: RedisPresence, user: int) -> None:
        for _ in range(40):
            deed = dice.randrange(6)
            if deed < 2:
                await store.arrive(user, f"d{deed}")
            elif deed < 4:
                await store.leave(user, f"d{deed - 2}")
            elif deed == 4:
                await store.choose(user, dice.choice(choices), dice.choice(["", "hi"]))
            else:
                await store.set_on_call(user, f"c{dice.randrange(2)}", dice.random() < 0.5)

    await asyncio.gather(*(live(store, user) for store in stores for user in people))
    await stores[0].arrive(99, "web")
    await stores[0].leave(99, "web")
    await nodes.recorder.until((99, "offline"))
    await stores[1].arrive(98, "web")
    await stores[1].leave(98, "web")
    await nodes.recorder.until((98, "offline"))

    seen = await stores[0].fetch(people)
    for user in people:
        versions = nodes.recorder.versions(user)
        assert len(versions) == len(set(versions)) > 1
        latest = max((one.version, one) for one in nodes.recorder.changes if one.user_id == user)[1]
        assert seen[user] == latest


async def test_the_end_of_a_choice_is_announced_once_by_many_nodes(nodes: Nodes) -> None:
    """Also when the node that stored it is gone by then."""
    people = range(1, 121)
    survivors = [await nodes.open(name) for name in ("b", "c", "d")]
    chooser = await nodes.open("a", ChangeRecorder())
    await asyncio.gather(*(survivors[0].arrive(one, "web") for one in people))
    for task in chooser._tasks:  # it ends no choice itself, however late it is
        if task.get_name() == "presence-expiry":
            task.cancel()
    until = datetime.now(UTC) + timedelta(seconds=1.5)
    await asyncio.gather(*(chooser.choose(one, "busy", None, until) for one in people))
    await abandon(chooser)
    chooser._expiry.stop()

    await asyncio.gather(*(nodes.recorder.until_count(one, 2) for one in people))
    await survivors[0].arrive(999, "web")
    await survivors[0].leave(999, "web")
    await nodes.recorder.until((999, "offline"))

    assert all(nodes.recorder.of(one) == ["online", "online"] for one in people)
    assert not await nodes.redis.exists("{presence}:ends")


async def test_a_choice_that_ended_while_nobody_ran_is_announced_at_the_next_start(
    nodes: Nodes,
) -> None:
    """The wish outlives every node, and so does its end."""
    before = await nodes.open("a")
    await before.arrive(ANNA, "web")
    before_end = datetime.now(UTC) + timedelta(seconds=0.1)
    await before.choose(ANNA, "busy", "lunch", before_end)
    await before.close()
    await eventually(lambda: datetime.now(UTC) > before_end)

    after = await nodes.open("b")
    await nodes.recorder.until_count(ANNA, 3)

    assert nodes.recorder.of(ANNA) == ["online", "busy", "online"]
    assert (await after.fetch([ANNA]))[ANNA] == nodes.recorder.changes[-1]


async def test_a_batch_of_ended_choices_whose_node_died_is_announced_by_the_next(
    nodes: Nodes,
) -> None:
    """It is crossed out only after it was announced; a choice made since stays."""
    store = await nodes.open("a")
    await store.arrive(ANNA, "web")
    lapsed_ms = round(time.time() * 1000) - 1_000
    user = f"{{presence}}:user:{ANNA}"
    await nodes.redis.hset(user, mapping={"chosen": "busy", "status": "busy", "ends": lapsed_ms})
    await nodes.redis.zadd("{presence}:ends", {str(ANNA): lapsed_ms})

    lapse = ("lapse", 1_000, 50)
    _, _, done, [first] = await store.link.run(*lapse)
    _, _, _, [again] = await store.link.run(*lapse)
    soon = datetime.now(UTC).replace(microsecond=0)  # a moment is rounded, the clock is cut
    await store.choose(ANNA, "away", None, soon + timedelta(seconds=60))
    state, next_ms, _, _ = await store.link.run(*lapse, *(one.decode() for one in done))

    assert again == first
    assert (state, 50_000 < next_ms <= 60_000) == (b"over", True)


async def test_a_late_report_of_a_calls_beginning_does_not_revive_it(nodes: Nodes) -> None:
    """Reports of one call may reach Redis in the wrong order, from different nodes."""
    store = await nodes.open("a")
    await store.arrive(ANNA, "web")
    now_ms = time.time_ns() // 1_000_000
    await store.link.run("call", ANNA, "c1", 0, now_ms, nonce="later")
    await store.link.run("call", ANNA, "c1", 1, now_ms - 1_000, nonce="earlier")

    assert (await store.fetch([ANNA]))[ANNA].status == "online"


async def test_a_node_closes_at_any_moment(nodes: Nodes) -> None:
    """Also when the cancellation meets the end of a renewal, which Python 3.11 may swallow."""
    settings = replace(FAST, renew_s=0.002)
    for turn in range(100):
        store = RedisPresence(nodes.redis, node="a", on_change=nodes.recorder, settings=settings)
        await store.open()
        for _ in range(turn % 25):
            await asyncio.sleep(0)
        await asyncio.sleep(0.002)
        async with asyncio.timeout(5):
            await store.close()


async def test_looking_at_500_people_is_one_round_trip(nodes: Nodes) -> None:
    """The server reads once from our connection, whatever the number of people."""
    store = await nodes.open("a")
    people = range(1, 501)
    await asyncio.gather(*(store.arrive(user, "web") for user in people))
    await abandon(store)  # renewals would be counted too, and one that was cut costs a connection
    await store.fetch([1])  # there is a connection now, and the script is loaded

    before = (await nodes.redis.info("stats"))["total_reads_processed"]
    seen = await store.fetch(people)
    after = (await nodes.redis.info("stats"))["total_reads_processed"]

    assert {one.status for one in seen.values()} == {"online"}
    assert after - before == 2  # the look, and asking for this number


async def test_idle_connections_cost_no_command(nodes: Nodes) -> None:
    """A renewal is the same commands whether nobody is connected or a thousand devices are."""
    store = await nodes.open("a")
    empty = await _cost_of_renewals(nodes.redis)
    await asyncio.gather(*(store.arrive(user, "web") for user in range(1_000)))
    await eventually(lambda: not store.owned.out_of_date(range(1_000)))  # all are written
    full = await _cost_of_renewals(nodes.redis)

    assert empty == full
    assert empty["evalsha"] == 1


async def _cost_of_renewals(redis: Redis) -> dict[str, float]:
    """Return commands per renewal, over five of them."""
    await redis.config_resetstat()
    calls: dict[str, int] = {}

    async def five() -> bool:
        stats = await redis.info("commandstats")
        calls.update({name[8:]: one["calls"] for name, one in stats.items()})
        return calls.get("evalsha", 0) >= 5

    await eventually(five)
    # The client may open one more connection of its own meanwhile.
    others = ("info", "config", "hello", "client")
    ours = {name: count for name, count in calls.items() if not name.startswith(others)}
    return {name: count / ours["evalsha"] for name, count in ours.items()}


async def test_the_nodes_of_somebody_are_all_that_live(nodes: Nodes) -> None:
    """Asked on any of them; a node that died is none as soon as nobody counts it any more."""
    first, second = await nodes.open("a"), await nodes.open("b:1", settings=FAST)
    await first.arrive(1, "web")
    await second.arrive(1, "phone")
    assert await first.nodes_of(1) == await second.nodes_of(1) == {"a", "b:1"}

    await abandon(second)

    async def alone() -> bool:
        return await first.nodes_of(1) == {"a"}

    await eventually(alone)
