"""What jobs are made of, without a database: payloads, budgets, the back-off, the doorbell."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bus import Announcement
from gateway.jobs import Doorbell, NewJob, PayloadInvalid, Queue, RateBudget, backoff
from gateway.jobs import doorbell as doorbell_module
from gateway.jobs.budgets import QueueSlots


@pytest.mark.parametrize("payload", [
    {"text": "\0"}, {"\0": 1}, {"a": [{"b": "x\0"}]}, {"a": "\\\0"}, {"a": "\\\\\0"},
    {"text": "\ud800"}, {"\udfff": 1},
    {"text": "x" * 4_087}, {"text": "é" * 2_044},
    {"a": {1}}, {"a": 2**64}, {1: 2}, {"a": object()},
])  # fmt: skip
def test_a_payload_that_postgresql_cannot_hold_is_refused(payload: dict[Any, Any]) -> None:
    """When it is ordered: not in the caller's transaction, which it would end."""
    with pytest.raises(PayloadInvalid):
        NewJob("tests.run", "tests", payload).encoded()


@pytest.mark.parametrize("payload", [
    {}, {"text": "x" * 4_085}, {"text": "é" * 2_042}, {"text": "\\u0000"}, {"text": "\\\\u0000"},
    {"a": [1, 2.5, None, True, {"b": "😀"}]}, {"a": 1e300}, {"a": -(2**63)}, {"a": 2**64 - 1},
])  # fmt: skip
def test_any_other_payload_is_taken(payload: dict[str, Any]) -> None:
    """Up to 4,096 bytes of JSON; a backslash before u0000 is text."""
    assert orjson.loads(NewJob("tests.run", "tests", payload).encoded()) == payload


@given(
    st.recursive(
        st.text(st.characters(codec=None)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=3)
        ),
    )
)
def test_whatever_is_taken_is_free_of_nul_and_surrogates(value: Any) -> None:
    """However deep, also in names."""

    def holds(found: Any, wrong: Any) -> bool:
        if isinstance(found, dict):
            return any(holds(one, wrong) for pair in found.items() for one in pair)
        if isinstance(found, list):
            return any(holds(one, wrong) for one in found)
        return any(wrong(char) for char in found)

    bad = holds(value, lambda char: char == "\0" or 0xD800 <= ord(char) <= 0xDFFF)
    try:
        NewJob("tests.run", "tests", {"value": value}).encoded()
    except PayloadInvalid:
        assert bad or len(repr(value)) > 1_000
    else:
        assert not bad


def test_back_offs_grow_and_differ() -> None:
    """Each is within a fifth of its step; the last step is repeated."""
    rng = random.Random(1)
    for failures in range(1, 12):
        step = backoff.STEPS_S[min(failures, 7) - 1]
        found = [backoff.delay_s(failures, rng) for _ in range(200)]
        assert step * 0.8 <= min(found) < step * 0.83
        assert step * 1.17 < max(found) <= step * 1.2


def test_a_rate_budget_admits_its_rate_whatever_the_moments() -> None:
    """Never more than burst and rate times time; all of it when it is asked often enough."""
    rng = random.Random(2)
    now = 0.0
    budget = RateBudget(10, burst=5, now=lambda: now)
    spent = 0
    for _ in range(2_000):
        now += rng.random() * 0.05
        spent_now = min(budget.available(), rng.randint(0, 8))
        budget.spend(spent_now)
        spent += spent_now
        assert spent <= 5 + 10 * now + 1e-6
    assert spent >= 10 * now - 8

    budget.spend(budget.available())
    now += budget.wait_s() + 1e-9
    assert budget.available() == 1


def test_a_queue_has_its_share_and_at_least_one_slot() -> None:
    """Free slots, the budget and the closing each bound the room."""
    now = 0.0
    budget = RateBudget(1, burst=3, now=lambda: 0.0)
    queue = QueueSlots(Queue("mail", 0.25, budget), 16, lambda: now)
    assert (queue.most, queue.room()) == (4, 3)
    queue.claimed(2, room=3)
    assert (queue.room(), queue.filled) == (1, False)
    queue.close(10)
    queue.close(5)
    assert (queue.room(), queue.opens_in_s()) == (0, 10)
    now = 10.0
    assert queue.room() == 1
    queue.claimed(1, room=1)
    assert (queue.filled, queue.room(), queue.opens_in_s()) == (True, 0, 1)
    assert QueueSlots(Queue("rare", 0.001), 16).most == 1


def test_claims_go_on_while_ends_are_stored_up_to_a_bound() -> None:
    """What has run needs no slot; four times the slots may be between claim and stored end."""
    queue = QueueSlots(Queue("mail", 1.0), 4)
    queue.claimed(4, room=4)
    assert queue.room() == 0
    for ending, room in ((4, 4), (12, 4), (13, 3), (16, 0), (17, 0)):
        queue.running, queue.ending = 0, ending
        assert queue.room() == room


async def test_a_burst_of_rings_tells_other_nodes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and for all that follow within the time: with the earliest of them."""
    monkeypatch.setattr(doorbell_module, "CONFLATE_S", 0.2)
    told: list[Announcement] = []
    both = asyncio.Event()

    def publish(announcements: Any) -> None:
        told.extend(announcements)
        if len(told) == 2:
            both.set()

    bell = Doorbell(publish)
    bell.ring(None)
    for due_s in (60, 30, 3, 90):
        bell.ring(due_s)
    await both.wait()
    dues = [orjson.loads(one.payload)["due_s"] for one in told]

    assert dues[0] == pytest.approx(60, abs=1)
    assert dues[1] <= 3


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"due_s": "x"}', b'{"due_s": null}'])
async def test_a_ring_that_cannot_be_read_means_now(payload: bytes) -> None:
    """Another version may say something else."""
    bell = Doorbell(lambda _: None)
    bell.heard(Announcement("jobs", "jobs.ordered", payload))

    await bell.wait(3_600)


async def test_the_earliest_ring_ends_the_wait() -> None:
    """Also one that comes during it."""
    bell = Doorbell(lambda _: None)
    bell.ring_here(3_600)
    waiting = asyncio.create_task(bell.wait(7_200))
    await asyncio.sleep(0)
    bell.ring_here(0.01)

    await waiting
