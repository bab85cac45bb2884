"""Schedules: every so many seconds, or a local time of day over both changes of the clock."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.jobs import Schedule

ZONES = {
    "Europe/Kyiv": (2026, 2027),
    "America/New_York": (2026, 2027),
    "America/Santiago": (2025, 2026),  # puts the clock forward at midnight
    "Australia/Lord_Howe": (2026, 2027),  # by half an hour
    "Asia/Kolkata": (2026, 2027),  # never
    "Africa/Casablanca": (2025, 2026),  # around Ramadan
    "Pacific/Apia": (2011, 2012),  # 30 December 2011 was not there
    "Antarctica/Troll": (2026, 2027),  # by two hours
}
"""Zone → years to go through."""

QUARTER = timedelta(minutes=15)

TIMES = [time(0, 0), time(0, 30), time(1, 15), time(2, 0), time(2, 30), time(3, 0), time(3, 30),
         time(12, 0), time(23, 45)]  # fmt: skip


def brute_force(zone: ZoneInfo, since: datetime, until: datetime) -> dict[datetime, datetime]:
    """Return the run of every local quarter of an hour, by going through those of UTC.

    That is the first moment that shows it; of one that no moment shows, as much after the clock was
    put forward as it would have been after the moment before.
    """
    runs: dict[datetime, datetime] = {}
    moment = since - timedelta(days=3)
    shown = moment.astimezone(zone).replace(tzinfo=None)
    while moment < until:
        moment += QUARTER
        expected, shown = shown + QUARTER, moment.astimezone(zone).replace(tzinfo=None)
        runs.setdefault(shown, moment)
        skipped = expected
        while skipped < shown:
            runs.setdefault(skipped, moment + (skipped - expected))
            skipped += QUARTER
    return runs


@pytest.mark.parametrize("name", ZONES)
def test_each_local_date_has_its_run_over_both_changes_of_the_clock(name: str) -> None:
    """In two years of every zone, at many times of day, as a walk through all moments finds."""
    first, last = ZONES[name]
    since, until = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    runs = brute_force(ZoneInfo(name), since, until)
    for at in TIMES:
        expected = {run for shown, run in runs.items() if shown.time() == at}
        assert fired(Schedule("a.b", at=at, zone=name), since, until) == sorted(
            run for run in expected if since < run <= until
        )


CHANGES = [
    # skipped: as much later as the clock is put forward
    ("Europe/Kyiv", time(3, 30), "2026-03-29T01:30Z"),
    ("America/New_York", time(2, 30), "2026-03-08T07:30Z"),
    ("Australia/Lord_Howe", time(2, 15), "2026-10-03T15:45Z"),
    ("America/Santiago", time(0, 0), "2025-09-07T04:00Z"),
    # repeated: the first
    ("Europe/Kyiv", time(3, 30), "2026-10-25T00:30Z"),
    ("America/New_York", time(1, 30), "2026-11-01T05:30Z"),
]


@pytest.mark.parametrize(("zone", "at", "expected"), CHANGES)
def test_a_skipped_time_is_later_and_a_repeated_one_the_first(
    zone: str, at: time, expected: str
) -> None:
    """Around the change there is one run each day, that of the change at this moment."""
    run = datetime.fromisoformat(expected)
    found = fired(
        Schedule("a.b", at=at, zone=zone), run - timedelta(days=1.5), run + timedelta(days=1.5)
    )

    assert run in found
    assert len(found) == 3


def fired(schedule: Schedule, since: datetime, until: datetime) -> list[datetime]:
    """Return the runs of a worker that looks the moment that each is due."""
    found, due, done_on = [], schedule.first(since), None
    while due <= until:
        found.append(due)
        due, done_on = schedule.next(due, due, done_on)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_missed_runs_are_one_and_no_date_has_two(seed: int) -> None:
    """Workers look whenever they are there, hours or days late; zone and time may be changed."""
    rng = random.Random(seed)
    schedule = Schedule("a.b", at=rng.choice(TIMES), zone=rng.choice([*ZONES]))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    due, done_on = schedule.first(now), None
    for _ in range(300):
        now += timedelta(hours=rng.expovariate(1 / 15))
        if due > now:
            continue
        before = done_on
        following, done_on = schedule.next(now, due, done_on)
        assert due <= now < following
        assert done_on is not None
        assert before is None or before < done_on
        due = following


@pytest.mark.parametrize("seed", range(20))
def test_what_a_clock_ahead_has_stored_does_not_count(seed: int) -> None:
    """The next run is the one that would come had nothing been stored."""
    rng = random.Random(seed)
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=rng.uniform(0, 9_000))
    wrong = now + timedelta(days=rng.uniform(3, 5_000))
    local = Schedule("a.b", at=rng.choice(TIMES), zone=rng.choice([*ZONES]))
    periodic = Schedule("a.b", every_s=rng.choice([0.5, 30.0, 3_600.0, 86_400.0]))
    for schedule in (local, periodic):
        due, done_on = schedule.next(wrong, wrong, None)

        assert schedule.next(now, due, done_on) == schedule.next(now, now, None)


@pytest.mark.parametrize("late_s", [0.0, 0.4, 1.0, 59.9, 60.0, 61.0, 86_400.0])
def test_every_so_many_seconds_keeps_its_beat(late_s: float) -> None:
    """Missed runs are one; the next one is due when it would have been."""
    schedule = Schedule("a.b", every_s=60)
    due = datetime(2026, 1, 1, tzinfo=UTC)
    now = due + timedelta(seconds=late_s)
    following, done_on = schedule.next(now, due, None)

    assert schedule.first(now) == now
    assert done_on is None
    assert now < following <= now + timedelta(seconds=60)
    assert (following - due).total_seconds() % 60 == 0
