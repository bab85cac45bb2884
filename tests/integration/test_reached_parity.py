"""A customer is reached by a call, by the CRM's SQL, or by hand: the same follows from each.

The rule stands in reached.close_reached, in realtime.customer_reached and in callbacks.close. Each
case is played three times, and every row that it leaves is compared.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from gateway.auth import Identity, permissions
from gateway.context import Context, Services
from gateway.protocol import Employee
from gateway.protocol.callbacks import CallbackClaim, CallbackClose
from gateway.telephony.callbacks import callbacks
from tests.support.office import OLENA, Office

NOW = 5 * 60
"""Minutes: an office's calls are counted from five hours ago."""


def agent(office: Office) -> Context:
    """Return somebody who may handle call-back requests."""
    until = datetime.now(UTC) + timedelta(hours=1)
    granted = frozenset({permissions.CALLBACKS_HANDLE})
    identity = Identity(Employee(id=3, name="Iryna"), granted, until)
    return Context(identity, cast("Services", office))


async def by_call(office: Office) -> None:
    """Have them call again, and be answered."""
    await office.call(NOW, answered=True)
    await office.process()


async def by_crm(office: Office) -> None:
    """Have the CRM say so."""
    await office.conn.execute("SELECT realtime.customer_reached(1, 'chat')")
    await office.process()


async def by_hand(office: Office) -> None:
    """Have an agent close the open item, if there is one."""
    for item in await office.items(customer_id=1):
        if item["state"] != "closed":
            await callbacks.close(
                agent(office), CallbackClose(callback_id=item["id"], outcome="reached")
            )


WAYS: dict[str, Callable[[Office], Awaitable[None]]] = {
    "call": by_call,
    "crm": by_crm,
    "hand": by_hand,
}


async def missed_once(office: Office) -> None:
    """Miss one call."""
    await office.miss(0)


async def missed_in_two_queues(office: Office) -> None:
    """Miss three calls, one of them of another customer."""
    await office.miss(0)
    await office.miss(10, queue="support")
    await office.miss(20, number=OLENA)


async def claimed(office: Office) -> None:
    """Miss one call, and have an agent take it on."""
    await office.miss(0)
    await office.process()
    (item,) = await office.items()
    await callbacks.claim(agent(office), CallbackClaim(callback_id=item["id"]))


async def nothing(_office: Office) -> None:
    """Let nothing follow."""


async def heard_of_late(office: Office) -> None:
    """Learn only now of a call that was missed before they were reached."""
    await office.miss(5)


async def missed_again(office: Office) -> None:
    """Miss a call after they were reached."""
    await office.miss(NOW + 1)


async def reached_again(office: Office) -> None:
    """Reach them once more: nothing is open."""
    await by_crm(office)


BEFORE = [missed_once, missed_in_two_queues, claimed]
AFTER = [nothing, heard_of_late, missed_again, reached_again]


async def play(
    office: Office,
    before: Callable[[Office], Awaitable[None]],
    reach: Callable[[Office], Awaitable[None]],
    after: Callable[[Office], Awaitable[None]],
) -> dict[str, Any]:
    """Play a case in a database without any call; return what it leaves, but who and how."""
    await office.conn.execute(
        "TRUNCATE realtime.callbacks, realtime.callback_calls, realtime.customers_reached,"
        " realtime.callback_news, realtime.missed_calls, realtime.call_sessions CASCADE"
    )
    await before(office)
    await office.process()
    office.published.clear()
    await reach(office)
    events = [event["type"] for event in office.published]
    await after(office)
    await office.process()
    items = [
        {
            "minutes": round(item["recover_ms"] / 60_000) if item["recover_ms"] else None,
            **{
                name: item[name]
                for name in ("customer_id", "number", "state", "calls", "queues", "outcome")
            },
            **{name: item[name] is not None for name in ("how", "closed_at", "claimed_by",
                                                         "claimed_at", "claim_until")},
        }
        for item in await office.items()
    ]  # fmt: skip
    reached = await office.conn.fetch("SELECT customer_id FROM realtime.customers_reached")
    links = await office.conn.fetchval("SELECT count(*) FROM realtime.callback_calls")
    return {
        "items": items,
        "events": events,
        "reached": [row["customer_id"] for row in reached],
        "links": links,
    }


@pytest.mark.parametrize("after", AFTER, ids=lambda step: step.__name__)
@pytest.mark.parametrize("before", BEFORE, ids=lambda step: step.__name__)
async def test_each_way_of_reaching_a_customer_has_the_same_effect(
    office: Office,
    before: Callable[[Office], Awaitable[None]],
    after: Callable[[Office], Awaitable[None]],
) -> None:
    """Items, their calls, when the customer was reached, and what is announced."""
    left = {way: await play(office, before, reach, after) for way, reach in WAYS.items()}

    assert left["crm"] == left["call"]
    assert left["hand"] == left["call"]
