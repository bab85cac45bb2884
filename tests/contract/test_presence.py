"""What every PresenceStore promises, on each implementation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from presence import (
    Choice,
)
from presence.model import CHOICES, DeviceStatus, visible_status
from tests.contract.presence_nodes import FAST, ChangeRecorder, eventually
from tests.contract.presence_stores import ANNA, BORIS, NOBODY, StoreUnderTest, soon


async def test_the_first_of_two_devices_announces_online_once(world: StoreUnderTest) -> None:
    """The second device of a person changes nothing that others see."""
    first = await world.store.arrive(ANNA, "web")
    second = await world.store.arrive(ANNA, "phone")

    assert first is not None
    assert second is None
    assert world.recorder.changes == [first]
    assert (first.user_id, first.status, first.text) == (ANNA, "online", None)


async def test_leaving_with_one_of_two_devices_changes_nothing(world: StoreUnderTest) -> None:
    """Someone is here while any device is."""
    await world.store.arrive(ANNA, "web")
    await world.store.arrive(ANNA, "phone")

    await world.store.leave(ANNA, "web")
    await world.pass_grace()

    assert world.recorder.of(ANNA) == ["online"]


async def test_a_device_may_connect_anew_before_its_old_connection_ends(
    world: StoreUnderTest,
) -> None:
    """The late end of the old connection does not take the device away."""
    await world.store.arrive(ANNA, "web")
    await world.store.arrive(ANNA, "web")
    await world.store.leave(ANNA, "web")
    await world.pass_grace()

    assert world.recorder.of(ANNA) == ["online"]


async def test_offline_is_announced_only_after_the_grace(world: StoreUnderTest) -> None:
    """Until the grace is over, everybody still sees the person online."""
    arrived = await world.store.arrive(ANNA, "web")
    left_at = datetime.now(UTC)
    await world.store.leave(ANNA, "web")

    assert (await world.store.fetch([ANNA]))[ANNA] == arrived
    assert world.recorder.of(ANNA) == ["online"]

    await world.recorder.until((ANNA, "offline"))

    gone = (await world.store.fetch([ANNA]))[ANNA]
    assert gone == world.recorder.changes[-1]
    assert gone.since is not None
    assert gone.since - left_at > timedelta(seconds=FAST.grace_s * 0.9)


async def test_a_return_within_the_grace_is_invisible(world: StoreUnderTest) -> None:
    """Reloading a page is nobody's business."""
    await world.store.arrive(ANNA, "web")
    await world.store.leave(ANNA, "web")
    back = await world.store.arrive(ANNA, "web")
    await world.pass_grace()

    assert back is None
    assert world.recorder.of(ANNA) == ["online"]


async def test_coming_back_after_the_grace_is_announced_again(world: StoreUnderTest) -> None:
    """Each visible change is told once, in order, with growing versions."""
    await world.store.arrive(ANNA, "web")
    await world.store.leave(ANNA, "web")
    await world.recorder.until((ANNA, "offline"))
    await world.store.arrive(ANNA, "web")

    assert world.recorder.of(ANNA) == ["online", "offline", "online"]
    versions = world.recorder.versions(ANNA)
    assert versions == sorted(set(versions))


async def test_a_chosen_status_and_text_survive_a_reconnect(world: StoreUnderTest) -> None:
    """What one chose holds until one chooses otherwise."""
    await world.store.arrive(ANNA, "web")
    chosen = await world.store.choose(ANNA, "busy", "in a meeting")
    await world.store.leave(ANNA, "web")
    await world.recorder.until((ANNA, "offline"))

    back = await world.store.arrive(ANNA, "phone")

    assert (chosen.status, chosen.text) == ("busy", "in a meeting")
    assert back is not None
    assert (back.status, back.text) == ("busy", "in a meeting")
    assert (await world.store.choose(ANNA, None, None)).status == "online"


async def test_choosing_the_same_twice_is_announced_once(world: StoreUnderTest) -> None:
    """A repeated choice returns what others see and tells nobody."""
    await world.store.arrive(ANNA, "web")
    first = await world.store.choose(ANNA, "away", "lunch")
    second = await world.store.choose(ANNA, "away", "lunch")

    assert second == first
    assert world.recorder.of(ANNA) == ["online", "away"]


async def test_a_new_text_keeps_since(world: StoreUnderTest) -> None:
    """`since` tells of the status; the text has a version of its own."""
    await world.store.arrive(ANNA, "web")
    busy = await world.store.choose(ANNA, "busy", None)
    told = await world.store.choose(ANNA, "busy", "until four")

    assert (told.since, told.text) == (busy.since, "until four")
    assert told.version > busy.version


@pytest.mark.parametrize("text", ["a\x1fb|c", "обед 🍲", "'; FLUSHALL", " " * 140])
async def test_any_text_comes_back_as_it_was_written(world: StoreUnderTest, text: str) -> None:
    """Separators and other alphabets are nothing special."""
    await world.store.choose(ANNA, None, text)

    assert (await world.store.fetch([ANNA]))[ANNA].text == text


async def test_being_on_a_call_cannot_be_chosen(world: StoreUnderTest) -> None:
    """It is a fact from the telephony."""
    with pytest.raises(ValueError, match="on_call"):
        await world.store.choose(ANNA, cast("Choice", "on_call"), None)


async def test_the_invisible_stay_invisible(world: StoreUnderTest) -> None:
    """Who chose to be offline is announced neither by a device nor by a call."""
    await world.store.arrive(ANNA, "web")
    await world.store.choose(ANNA, "offline", None)
    await world.store.arrive(ANNA, "phone")
    await world.store.set_on_call(ANNA, "c1", talking=True)

    assert world.recorder.of(ANNA) == ["online", "offline"]


async def test_on_a_call_until_the_last_of_two_calls_ends(world: StoreUnderTest) -> None:
    """A consultation call does not end the first one."""
    await world.store.arrive(ANNA, "web")
    await world.store.set_on_call(ANNA, "c1", talking=True)
    assert await world.store.set_on_call(ANNA, "c2", talking=True) is None
    assert await world.store.set_on_call(ANNA, "c1", talking=False) is None
    assert await world.store.set_on_call(ANNA, "c1", talking=False) is None
    ended = await world.store.set_on_call(ANNA, "c2", talking=False)

    assert ended is not None
    assert world.recorder.of(ANNA) == ["online", "on_call", "online"]


async def test_a_call_is_joined_a_second_time(world: StoreUnderTest) -> None:
    """Who left a call and is transferred back is on a call again."""
    await world.store.arrive(ANNA, "web")
    for talking in (True, False, True):
        await world.store.set_on_call(ANNA, "c1", talking)

    assert world.recorder.of(ANNA) == ["online", "on_call", "online", "on_call"]


async def test_the_most_present_device_wins(world: StoreUnderTest) -> None:
    """Away only when every device is."""
    await world.store.arrive(ANNA, "web")
    await world.store.arrive(ANNA, "phone")
    assert await world.store.set_away(ANNA, "web", True) is None
    await world.store.set_away(ANNA, "phone", True)
    await world.store.set_away(ANNA, "web", False)
    await world.store.leave(ANNA, "web")
    await world.recorder.until((ANNA, "away"))
    await world.pass_grace()

    assert world.recorder.of(ANNA) == ["online", "away", "online", "away"]


DEVICES: list[DeviceStatus] = ["offline", "away", "online"]
CASES = list(itertools.product(DEVICES, [None, *sorted(CHOICES)], [False, True]))


async def test_both_stores_follow_one_rule(world: StoreUnderTest) -> None:
    """Every combination of devices, choice and call shows what `visible` says."""
    for user, (devices, choice, talking) in enumerate(CASES, start=10):
        if devices != "offline":
            await world.store.arrive(user, "web")
            await world.store.set_away(user, "web", devices == "away")
        await world.store.choose(user, cast("Choice | None", choice), None)
        await world.store.set_on_call(user, "c1", talking)

    people = await world.store.fetch(range(10, 10 + len(CASES)))

    assert [people[user].status for user in people] == [
        visible_status(devices, cast("Choice | None", choice), talking=talking)
        for devices, choice, talking in CASES
    ]


def test_the_rule_ranks_what_is_known() -> None:
    """No device or invisible, then do-not-disturb, then a call, then the choice, then devices."""
    assert visible_status("offline", "busy", talking=True) == "offline"
    assert visible_status("online", "offline", talking=True) == "offline"
    assert visible_status("online", "do_not_disturb", talking=True) == "do_not_disturb"
    assert visible_status("online", "busy", talking=True) == "on_call"
    assert visible_status("away", "online", talking=False) == "online"
    assert visible_status("away", None, talking=False) == "away"


async def test_someone_never_seen_is_offline_since_nobody_knows_when(world: StoreUnderTest) -> None:
    """Asking about strangers is no error."""
    stranger = (await world.store.fetch([NOBODY, NOBODY]))[NOBODY]

    assert (stranger.status, stranger.since) == ("offline", None)
    assert await world.store.fetch([]) == {}


async def test_who_is_not_here_is_certain_after_a_while(world: StoreUnderTest) -> None:
    """Until then nobody is contradicted who knows more; what happens later has a higher version."""
    early = (await world.store.fetch([NOBODY]))[NOBODY]
    await eventually(lambda: world.store.default_version > 0)
    certain = world.store.default_version
    stranger = (await world.store.fetch([NOBODY]))[NOBODY]
    came = await world.store.arrive(NOBODY, "web")

    assert early.version in {0, certain}
    assert (stranger.status, stranger.version) == ("offline", certain)
    assert came is not None
    assert came.version > certain
    assert world.store.default_version == certain


async def test_leaving_without_having_come_is_harmless(world: StoreUnderTest) -> None:
    """A session that never said hello may still end."""
    await world.store.leave(ANNA, "web")
    await world.pass_grace()

    assert world.recorder.of(ANNA) == []


async def test_a_listener_that_fails_does_not_stop_presence(
    world: StoreUnderTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An announcement that cannot be made is logged; the state is right all the same."""
    listener: Callable[..., Any] = ChangeRecorder.__call__

    async def fails(self: ChangeRecorder, changes: list[Any]) -> None:
        monkeypatch.setattr(ChangeRecorder, "__call__", listener)
        raise ConnectionError("the bus is away")

    monkeypatch.setattr(ChangeRecorder, "__call__", fails)
    await world.store.arrive(ANNA, "web")
    await world.store.arrive(BORIS, "web")

    assert "on_change failed" in caplog.text
    assert {one.status for one in (await world.store.fetch([ANNA, BORIS])).values()} == {"online"}
    assert world.recorder.of(BORIS) == ["online"]


async def test_calls_are_corrected_by_what_the_database_says(world: StoreUnderTest) -> None:
    """One ended unheard, one began unheard, and one that began since stays as it is."""
    for person in (ANNA, BORIS, 3):
        await world.store.arrive(person, "web")
    await world.store.set_on_call(ANNA, "ended", talking=True)
    as_of = soon(0.001)
    while datetime.now(UTC) <= as_of:
        pass
    await world.store.set_on_call(3, "new", talking=True)

    assert await world.store.correct_calls([(BORIS, "missed")], as_of) == 2
    assert await world.store.correct_calls([(BORIS, "missed")], as_of) == 0

    seen = await world.store.fetch([ANNA, BORIS, 3])
    assert [seen[one].status for one in (ANNA, BORIS, 3)] == ["online", "on_call", "on_call"]
    assert world.recorder.of(ANNA) == ["online", "on_call", "online"]


async def test_the_nodes_of_somebody_are_those_they_are_connected_to(world: StoreUnderTest) -> None:
    """Also while they are invisible, and for the grace; not afterwards, and not of others."""
    await world.store.arrive(ANNA, "web")
    await world.store.choose(ANNA, "offline", None)
    assert await world.store.nodes_of(ANNA) == {"a"}
    assert await world.store.nodes_of(NOBODY) == set()

    await world.store.leave(ANNA, "web")
    assert await world.store.nodes_of(ANNA) == {"a"}
    await world.pass_grace()

    async def gone() -> bool:
        return await world.store.nodes_of(ANNA) == set()

    await eventually(gone)
