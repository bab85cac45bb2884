"""What every PresenceStore promises about times: choices with an end, and the last time seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.contract.presence_nodes import FAST
from tests.contract.presence_stores import ANNA, BORIS, NOBODY, StoreUnderTest, soon


async def test_a_choice_with_an_end_is_over_by_itself(world: StoreUnderTest) -> None:
    """Status and text are gone at the time given, not before, and everybody hears of it once."""
    await world.store.arrive(ANNA, "web")
    until = soon()
    chosen = await world.store.choose(ANNA, "do_not_disturb", "focus", until)
    assert (chosen.status, chosen.text, chosen.until) == ("do_not_disturb", "focus", until)

    await world.recorder.until((ANNA, "do_not_disturb"))
    await world.recorder.until_count(ANNA, 3)

    over = world.recorder.changes[-1]
    assert (over.status, over.text, over.until) == ("online", None, None)
    assert over.since is not None
    assert timedelta() <= over.since - until < timedelta(seconds=1)
    await world.pass_grace()
    assert world.recorder.of(ANNA) == ["online", "do_not_disturb", "online"]
    assert (await world.store.fetch([ANNA]))[ANNA] == over


async def test_a_text_alone_may_end_too(world: StoreUnderTest) -> None:
    """Its end is told with it; the status stays what the devices say."""
    await world.store.arrive(ANNA, "web")
    until = soon()
    chosen = await world.store.choose(ANNA, None, "back at four", until)
    await world.recorder.until_count(ANNA, 3)

    assert (chosen.status, chosen.until) == ("online", until)
    assert [one.text for one in world.recorder.changes] == [None, "back at four", None]
    assert world.recorder.changes[-1].since == chosen.since


async def test_a_new_choice_takes_the_end_of_the_old_one_away(world: StoreUnderTest) -> None:
    """What was to end does not end what was chosen since."""
    await world.store.arrive(ANNA, "web")
    await world.store.choose(ANNA, "busy", None, soon(0.1))
    lasting = await world.store.choose(ANNA, "busy", None)
    await world.store.choose(BORIS, None, "until soon", soon(0.15))
    await world.recorder.until_count(BORIS, 2)

    assert lasting.until is None
    assert (await world.store.fetch([ANNA]))[ANNA] == lasting


async def test_another_end_for_the_same_choice_is_told(world: StoreUnderTest) -> None:
    """Who looks at the time sees the new one."""
    await world.store.arrive(ANNA, "web")
    first = await world.store.choose(ANNA, "busy", None, soon(50))
    second = await world.store.choose(ANNA, "busy", None, soon(90))
    third = await world.store.choose(ANNA, "busy", None, second.until)

    assert first.version < second.version
    assert third == second
    assert world.recorder.changes[1:] == [first, second]


async def test_a_choice_that_has_ended_already_is_none(world: StoreUnderTest) -> None:
    """A command that took long to arrive changes nothing for ever."""
    await world.store.arrive(ANNA, "web")

    assert (await world.store.choose(ANNA, "busy", "late", soon(-1))).status == "online"
    assert world.recorder.of(ANNA) == ["online"]


async def test_the_end_of_what_is_not_shown_is_not_shown(world: StoreUnderTest) -> None:
    """Who is invisible until four is offline to others, without a time; likewise during a call."""
    await world.store.arrive(ANNA, "web")
    assert (await world.store.choose(ANNA, "offline", None, soon(50))).until is None

    await world.store.choose(ANNA, "busy", None, soon(50))
    talking = await world.store.set_on_call(ANNA, "c1", talking=True)
    assert talking is not None
    assert (talking.status, talking.until) == ("on_call", None)


async def test_whoever_is_offline_was_last_seen_when_they_left(world: StoreUnderTest) -> None:
    """Not when the grace was over; and it is not told of those who are here."""
    arrived = await world.store.arrive(ANNA, "web")
    left_at = datetime.now(UTC)
    await world.store.leave(ANNA, "web")
    await world.recorder.until((ANNA, "offline"))
    gone = (await world.store.fetch([ANNA]))[ANNA]
    back = await world.store.arrive(ANNA, "web")

    assert arrived is not None
    assert arrived.last_seen is None
    assert gone.last_seen is not None
    assert abs(gone.last_seen - left_at) < timedelta(seconds=FAST.grace_s * 0.9)
    assert back is not None
    assert back.last_seen is None
    assert (await world.store.fetch([NOBODY]))[NOBODY].last_seen is None


async def test_the_invisible_were_last_seen_when_they_became_so(world: StoreUnderTest) -> None:
    """Their devices come and go without moving it."""
    await world.store.arrive(ANNA, "web")
    hidden = await world.store.choose(ANNA, "offline", None)
    await world.store.leave(ANNA, "web")
    await world.pass_grace()
    await world.store.arrive(ANNA, "web")
    await world.store.leave(ANNA, "web")
    await world.pass_grace()

    assert hidden.last_seen is not None
    assert (await world.store.fetch([ANNA]))[ANNA] == hidden


async def test_nobody_learns_when_people_left_where_that_is_private(
    discreet: StoreUnderTest,
) -> None:
    """Neither last_seen nor since tells it, in news and looks alike."""
    await discreet.store.arrive(ANNA, "web")
    await discreet.store.leave(ANNA, "web")
    await discreet.recorder.until((ANNA, "offline"))

    gone = (await discreet.store.fetch([ANNA]))[ANNA]
    assert gone == discreet.recorder.changes[-1]
    assert (gone.status, gone.since, gone.last_seen) == ("offline", None, None)
