"""Call-backs while the CRM's view of telephone numbers is away: decisions wait for it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.db.crm_views import RETURNS_WITHIN_S, CrmViews
from tests.acceptance.telephony.test_callbacks import missed_request
from tests.support.calls import call_back, miss
from tests.support.desk import Desk, eventually


async def switch(desk: Desk, old: str, new: str) -> None:
    """Rename a view, as a deployment does that drops and creates it, and have it noticed."""
    await desk.sql(f"ALTER VIEW crm.{old} RENAME TO {new}")
    await desk.nodes[0].app.state.gateway.contract.look()


async def rows(desk: Desk, statement: str) -> list[Any]:
    return [tuple(row) for row in await desk.sql(statement)]


async def stored(desk: Desk, condition: str, count: int) -> None:
    """Wait until so many calls are stored."""

    async def is_stored() -> bool:
        found = await desk.sql(f"SELECT FROM realtime.call_sessions WHERE {condition}")
        return len(found) == count

    await eventually(is_stored)


@pytest.mark.slow
async def test_who_is_answered_meanwhile_is_no_longer_to_be_called(small_desk: Desk) -> None:
    """The customer is called back and answers while nobody knows whose number it is."""
    request = await missed_request(small_desk)
    await switch(small_desk, "customer_phones", "elsewhere")
    await call_back(small_desk)
    await stored(small_desk, "answered_at IS NOT NULL", 1)
    await switch(small_desk, "elsewhere", "customer_phones")

    async def is_closed() -> bool:
        found = await rows(small_desk, "SELECT id, state FROM realtime.callbacks")
        return found == [(request, "closed")]

    await eventually(is_closed)


async def test_a_customer_who_calls_meanwhile_has_one_request(small_desk: Desk) -> None:
    """Two missed calls, one before and one while the view is away: one request, with both."""
    await missed_request(small_desk)
    await switch(small_desk, "customer_phones", "elsewhere")
    await miss(small_desk)
    await stored(small_desk, "ended_at IS NOT NULL", 2)
    await switch(small_desk, "elsewhere", "customer_phones")

    async def has_both() -> bool:
        found = await rows(
            small_desk, "SELECT customer_id IS NOT NULL, calls, state FROM realtime.callbacks"
        )
        return found == [(True, 2, "open")]

    await eventually(has_both)


async def test_a_crm_without_the_view_has_call_backs_by_number(empty_desk: Desk) -> None:
    """A view that was never there is not waited for."""
    await empty_desk.sql("ALTER VIEW crm.customer_phones RENAME TO elsewhere")
    await empty_desk.start_node()
    await missed_request(empty_desk)

    found = await rows(empty_desk, "SELECT customer_id, state FROM realtime.callbacks")
    assert found == [(None, "open")]


def test_a_view_is_expected_back_for_some_minutes() -> None:
    """And no longer: then the CRM goes on without it."""
    at = 0.0
    views = CrmViews({"a": "", "b": ""}, now=lambda: at)
    views.switch({"a": "missing"}, at_start=True)
    views.switch({"a": "missing", "b": "missing"})

    assert not views.may_return("a")
    assert views.may_return("a", "b")
    at = RETURNS_WITHIN_S - 1
    views.switch({"a": "missing", "b": "slow"})
    assert views.may_return("b")
    at = RETURNS_WITHIN_S
    assert not views.may_return("b")
    views.switch({})
    views.switch({"a": "missing"})
    assert views.may_return("a")
