"""Names and presences are kept for a moment: read once for many, never past their time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet

import pytest

from gateway.hello.rosters import Roster, RosterCache
from gateway.hello.ttl_cache import TtlCache
from gateway.ops.tasks import Tasks
from gateway.protocol.codec import encode
from tests.support.desk import eventually

KEPT_S = 0.05


class Store:
    """number → (version, text); counts who was read."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[int, str]] = {n: (1, f"v{n}") for n in range(100)}
        self.reads: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def read(self, keys: Sequence[int]) -> dict[int, tuple[int, str]]:
        self.reads.append(list(keys))
        found = {key: self.rows[key] for key in keys if key in self.rows}
        await self.go_on.wait()
        return found


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks() as owner:
        yield owner


def kept(store: Store, tasks: Tasks, *, kept_s: float = 60.0) -> TtlCache[tuple[int, str]]:
    return TtlCache(
        store.read,
        spawn=tasks.spawn,
        name="test",
        ttl_s=kept_s,
        newer=lambda known, read: known[0] > read[0],
    )


async def until_empty(holds: TtlCache[tuple[int, str]] | RosterCache) -> None:
    await eventually(lambda: not len(holds))


async def test_many_lists_are_one_read(tasks: Tasks) -> None:
    """Who stands in several lists is read once; only who is not yet known is read later."""
    store = Store()
    values = kept(store, tasks)

    first = await values.get_many({1, 2, 3})
    again = await values.get_many({2, 3})
    more = await values.get_many({3, 4})

    assert store.reads == [[1, 2, 3], [4]]
    assert [first[1], again[2], more[3], more[4]] == [(1, "v1"), (1, "v2"), (1, "v3"), (1, "v4")]


async def test_values_expire(tasks: Tasks) -> None:
    """After its time nothing is left, and the next one who asks gets what is true then."""
    store = Store()
    values = kept(store, tasks, kept_s=KEPT_S)
    assert (await values.get_many({1}))[1] == (1, "v1")
    store.rows[1] = (2, "new")

    await until_empty(values)

    assert (await values.get_many({1}))[1] == (2, "new")
    assert store.reads == [[1], [1]]


async def test_a_result_stays_whole_when_the_cache_expires(tasks: Tasks) -> None:
    """A welcome in the making does not lose names to the clock."""
    values = kept(Store(), tasks, kept_s=KEPT_S)
    await values.get_many({1, 2})
    held = await values.get_many({1, 2})

    await until_empty(values)

    assert held[1] == (1, "v1")


async def test_a_newer_value_is_not_replaced_by_a_read_that_began_before(tasks: Tasks) -> None:
    """A change heard of while an older state is being read wins."""
    store = Store()
    store.go_on.clear()
    values = kept(store, tasks)
    reading = asyncio.create_task(values.get_many({1, 2}))
    await eventually(lambda: store.reads)
    values.put(1, (5, "just came"))
    store.go_on.set()

    found = await reading

    assert (found[1], found[2]) == ((5, "just came"), (1, "v2"))
    assert (await values.get_many({1}))[1] == (5, "just came")


async def test_an_older_value_does_not_replace_what_was_read(tasks: Tasks) -> None:
    """Announcements may arrive late; the higher version stays."""
    values = kept(Store(), tasks)
    await values.get_many({1})

    values.put(1, (0, "long ago"))

    assert (await values.get_many({1}))[1] == (1, "v1")


async def test_a_missing_key_is_left_out_and_read_again(tasks: Tasks) -> None:
    """Someone hired a moment ago is found as soon as they are there."""
    store = Store()
    values = kept(store, tasks)
    assert 500 not in await values.get_many({500, 1})
    store.rows[500] = (1, "hired")

    assert (await values.get_many({500}))[500] == (1, "hired")


# --- rosters -----------------------------------------------------------------------------------


async def names(employee_ids: AbstractSet[int]) -> dict[int, str]:
    return {one: f'{{"id":{one}}}' for one in employee_ids if one != 404}


async def printed(rosters: RosterCache, people: str | None) -> tuple[tuple[int, ...], str]:
    roster: Roster = (await rosters.get_many([people]))[0]
    return roster.employee_ids, encode(roster.participants).decode()


async def test_a_roster_follows_the_database() -> None:
    """A read position that moved, or someone who left, is another roster at once."""
    rosters = RosterCache(names, ttl_s=60)

    before = await printed(rosters, "7owner3,8member0")
    moved = await printed(rosters, "7owner3,8member9")
    left = await printed(rosters, "7owner3")

    assert before == (
        (7, 8),
        '[{"employee":{"id":7},"role":"owner","last_read_seq":3},'
        '{"employee":{"id":8},"role":"member","last_read_seq":0}]',
    )
    assert moved[1].endswith('"last_read_seq":9}]')
    assert left[0] == (7,)


async def test_a_roster_shows_twenty_and_nobody_who_is_missing() -> None:
    """The twenty-first, and whom the CRM does not know, are left out; an empty one is a list."""
    rosters = RosterCache(names, ttl_s=60)

    many = await printed(rosters, ",".join(f"{n}member0" for n in range(1, 22)))
    unknown = await printed(rosters, "404member0,5member0")

    assert many[0] == tuple(range(1, 21))
    assert unknown == ((5,), '[{"employee":{"id":5},"role":"member","last_read_seq":0}]')
    assert await printed(rosters, None) == ((), "[]")


async def test_rosters_expire_with_their_names() -> None:
    """Nothing stays when nobody arrives."""
    rosters = RosterCache(names, ttl_s=KEPT_S)
    await printed(rosters, "7owner3")
    assert len(rosters) == 1

    await until_empty(rosters)
