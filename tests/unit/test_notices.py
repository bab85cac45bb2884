"""Typing leaves a node once in two seconds for each person and conversation."""

from __future__ import annotations

import itertools

from gateway.context import TYPING_NOTICE_S, TypingNotices


def test_one_in_two_seconds_leaves_for_each_person_and_conversation() -> None:
    """However the generations fall: a client that says it every 0.1 s is heard every 2 s."""
    now = [100.0]
    notices = TypingNotices(lambda: now[0])
    heard = []
    for step in range(100):
        now[0] = 100.0 + step * 0.1 + 1.3
        if not notices.announced_recently(17, 1):
            heard.append(now[0])

    assert len(heard) == 5
    assert all(
        TYPING_NOTICE_S <= later - earlier < TYPING_NOTICE_S + 0.2
        for earlier, later in itertools.pairwise(heard)
    )
    assert not notices.announced_recently(17, 2)
    assert not notices.announced_recently(18, 1)


def test_what_is_over_is_forgotten() -> None:
    """A node does not remember everyone who ever typed."""
    now = [0.0]
    notices = TypingNotices(lambda: now[0])
    for employee_id in range(1_000):
        notices.announced_recently(1, employee_id)
    for moment in (3.0, 6.0):
        now[0] = moment
        notices.announced_recently(1, 5_000)

    assert len(notices._before) + len(notices._current) <= 2
