"""Pauses of a period are those of the live state, second by second.

A second implementation goes from second to second: it replays everything told up to then, and looks
what the agent does. The statistics' fold has to find as many seconds of each kind.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.telephony.agents.agents import derive
from gateway.telephony.agents.queries.agents import AgentRecord, QueueMark
from gateway.telephony.stats.pauses import PhoneHistory, fold_person
from ingest import CallEvent, QueueState
from ingest.fold.agent_marks import current_marks
from tests.support.amounts import seeds

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
SPAN_S = 120
END = BEGIN + timedelta(seconds=SPAN_S)
PHONES = (("pbx", "101"), ("pbx", "102"))
QUEUES = ("sales", "support", None)
REASONS = ("wrapup", "ACW", "lunch", None)

Told = tuple[int, tuple[str, str], str, str | None, str | None, bool]
"""Second, telephone, kind, queue, reason, paused at login."""


def moment(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)


def day(dice: random.Random) -> list[Told]:
    """Tell what agents do, in whole seconds and often several things in one."""
    told: list[Told] = []
    second = -60
    for _ in range(dice.randrange(1, 40)):
        second += dice.choice((0, 0, 1, 2, 5, 15))
        kind = dice.choice(
            ("paused", "paused", "paused", "unpaused", "unpaused", "login", "logoff")
        )
        phones = PHONES if dice.random() < 0.3 else PHONES[:1]
        told.append(
            (second, dice.choice(phones), kind, dice.choice(QUEUES), dice.choice(REASONS),
             dice.random() < 0.4)
        )  # fmt: skip
    return told


def histories(told: Sequence[Told]) -> list[PhoneHistory]:
    """Return what was told of each telephone."""
    found = {phone: PhoneHistory([]) for _, phone, *_ in told}
    return [
        PhoneHistory(
            [
                (moment(second), f"agent.{kind}", queue,
                            reason if kind != "logoff" else None, paused)
                for second, one, kind, queue, reason, paused in told
                if one == phone
            ]
        )
        for phone in found
    ]  # fmt: skip


def states_at(told: Sequence[Told], second: int) -> dict[Any, dict[str, Any]]:
    """Return (telephone, queue) → state at the end of this second, replayed from the beginning."""
    states: dict[Any, dict[str, Any]] = {}
    blank: dict[str, Any] = {"on": True, "paused": False, "reason": None}
    for at, phone, kind, queue, reason, joins_paused in told:
        if at > second:
            break
        mine = [key for key in states if key[0] == phone]
        if (phone, queue) not in states:
            states[phone, queue] = dict(states.get((phone, None), blank))
            mine.append((phone, queue))
        for key in [(phone, queue)] if queue else mine:
            state = states[key]
            if kind == "logoff":
                state.update(blank, on=False)
            elif kind == "unpaused":
                state.update(paused=False, reason=None)
            elif kind == "paused" or joins_paused:
                state.update(reason=reason or (state["reason"] if state["paused"] else None))
                state.update(paused=True)
            if kind == "login":
                state.update(on=True)
    return states


def doing(states: dict[Any, dict[str, Any]], queue: str | None = None) -> str:
    """Return paused, wrap_up, or another word, in one queue or in all."""
    seen = {key: one for key, one in states.items() if one["on"]}
    if queue is None and any(key[1] for key in seen):
        seen = {key: one for key, one in seen.items() if key[1]}
    elif queue is not None:
        seen = {key: one for key, one in seen.items() if key[1] == queue}
    if not seen or not all(one["paused"] for one in seen.values()):
        return "there"
    wraps = [(one["reason"] or "").lower() in {"wrapup", "acw"} for one in seen.values()]
    return "wrap_up" if all(wraps) else "paused"


def counted(phones: Sequence[PhoneHistory]) -> Counter[tuple[str, str]]:
    """Return the seconds of each kind in each queue ('': in all) that the statistics count."""
    found: Counter[tuple[str, str]] = Counter()
    for by_queue in (False, True):
        for queue, stands, began, ended in fold_person(phones, BEGIN, END, by_queue=by_queue):
            found[queue, stands] += round((ended - began).total_seconds())
    return found


@seeds(60, 300)
def test_pauses_last_as_many_seconds_as_somebody_was_paused(seed: int) -> None:
    """Of two telephones in two queues, told of one queue or all, with what was told before."""
    dice = random.Random(seed)
    told = day(dice)
    expected: Counter[tuple[str, str]] = Counter()
    for second in range(SPAN_S):
        states = states_at(told, second)
        for queue in (None, "sales", "support"):
            expected[queue or "", doing(states, queue)] += 1

    wanted = {key: seconds for key, seconds in expected.items() if key[1] != "there"}
    assert counted(histories(told)) == wanted


@seeds(20, 100)
def test_the_live_state_is_what_the_statistics_count(seed: int) -> None:
    """At any second, the state that clients are shown is the one that this second counts as."""
    dice = random.Random(seed)
    told = day(dice)
    second = dice.randrange(SPAN_S)
    marks = []
    for source, extension in PHONES:
        sent = [
            CallEvent(
                event_id=UUID(int=number), source=source, type=f"agent.{kind}",  # type: ignore[arg-type]
                occurred_at=moment(at), queue=queue, extension=extension, told=number,
                attrs={"reason": reason if kind != "logoff" else None, "paused": paused},
            )
            for number, (at, phone, kind, queue, reason, paused) in enumerate(told, 1)
            if phone == (source, extension) and at <= second
        ]  # fmt: skip
        marks += [
            QueueMark(queue=one.queue, logged_in=one.logged_in, login_at=one.login_at,
                      paused=one.paused, reason=one.reason, paused_at=one.paused_at)
            for one in current_marks(sent).values()
        ]  # fmt: skip

    live = derive(AgentRecord(employee_id=1, calls=(), marks=tuple(marks),
                              last_call_ended_at=None, version=1))  # fmt: skip

    counts = [
        stands
        for _, stands, began, ended in fold_person(histories(told), BEGIN, END, by_queue=False)
        if began <= moment(second) < ended
    ]
    assert counts == ([live.status] if live.status in {"paused", "wrap_up"} else [])


def story(*told: Told) -> Counter[tuple[str, str]]:
    return counted(histories(told))


ONE = PHONES[0]


def test_another_reason_ends_the_first_pause() -> None:
    """30 s of wrap-up and the rest is lunch, though nobody said that the wrap-up was over."""
    found = story(
        (0, ONE, "paused", None, "wrapup", False),
        (30, ONE, "paused", None, "lunch", False),
        (90, ONE, "unpaused", None, None, False),
    )

    assert found == {("", "wrap_up"): 30, ("", "paused"): 60}


def test_a_pause_begun_days_before_counts_from_the_beginning_of_the_period() -> None:
    """Also one of which only the mark is left."""
    long_ago = -5 * 86_400
    mark = QueueState("sales", paused=True, reason="lunch", paused_at=moment(long_ago))

    assert story((long_ago, ONE, "paused", "sales", "lunch", False)) == {
        ("", "paused"): SPAN_S, ("sales", "paused"): SPAN_S,
    }  # fmt: skip
    assert counted([PhoneHistory(known=[mark])])["", "paused"] == SPAN_S


def test_whoever_logs_off_is_not_paused_any_more() -> None:
    """Nor is who logs in again without a pause; who joins paused is."""
    found = story(
        (0, ONE, "login", "sales", None, False),
        (10, ONE, "paused", "sales", "lunch", False),
        (20, ONE, "logoff", "sales", None, False),
        (40, ONE, "login", "sales", None, False),
        (50, ONE, "logoff", "sales", None, False),
        (60, ONE, "login", "sales", "late", True),
        (75, ONE, "unpaused", "sales", None, False),
    )

    assert found["", "paused"] == found["sales", "paused"] == 25


def test_whoever_is_paused_in_one_queue_still_takes_calls_of_the_other() -> None:
    """It is a pause in that queue, and none of the agent."""
    found = story(
        (0, ONE, "login", "sales", None, False),
        (0, ONE, "login", "support", None, False),
        (10, ONE, "paused", "sales", "wrapup", False),
        (40, ONE, "paused", "support", "wrapup", False),
        (60, ONE, "unpaused", None, None, False),
    )

    assert found == {
        ("sales", "wrap_up"): 50, ("support", "wrap_up"): 20, ("", "wrap_up"): 20,
    }  # fmt: skip
